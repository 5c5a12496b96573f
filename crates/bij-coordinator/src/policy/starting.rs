//! Starts that did not come through.

use bij_core::port::Change;
use bij_core::queue::{QueueState, QueuedRun};
use bij_core::{RunId, TimeSpan};

use super::time::after;
use super::{Action, Observation, State};

/// So many failed starts in a row, and a run is held for somebody to look at it.
pub const MAX_TRIES: u32 = 5;
/// A start is tried again after so long the first time, and after twice as long each further time.
const FIRST_WAIT: u64 = 5_000_000;

/// A start that has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackOff {
    /// How many have failed in a row.
    pub tries: u32,
    /// The uptime until which it is put off.
    pub until: TimeSpan,
}

/// Starts the units of those that were let start and are neither up nor under way: the coordinator
/// was gone before it had asked for the start.
pub(super) fn carry_on(state: &State, seen: &Observation) -> Vec<Action> {
    let starting = state.up().filter(|run| matches!(run.state, QueueState::Starting { .. }));
    let asleep = starting.filter(|run| {
        let experiment = &run.run.experiment;
        !seen.units.get(experiment).is_some_and(is_on_its_way)
            && !state.busy.contains_key(experiment)
            && !state.stops.contains_key(experiment)
    });
    let start = |run: &QueuedRun| Action::Start {
        run: run.run.clone(),
        why: "it was let start before".to_owned(),
    };
    asleep.map(start).collect()
}

/// Whether a unit is up or its start is being looked at.
fn is_on_its_way(unit: &bij_core::UnitStatus) -> bool {
    super::observation::is_up(unit) || unit.sub_state == "condition"
}

/// What becomes of a run whose start has come to nothing: it waits again, each time longer, and at
/// last it is held.
pub fn back_off_after(
    before: Option<BackOff>,
    run: &RunId,
    why: &str,
    uptime: TimeSpan,
) -> (BackOff, Change) {
    let tries = before.map_or(0, |before| before.tries).saturating_add(1);
    let wait = FIRST_WAIT.saturating_mul(1 << (tries - 1).min(16));
    let until = after(uptime, TimeSpan::from_micros(wait));
    let (state, why) = if tries >= MAX_TRIES {
        let why = format!("{tries} starts in a row have failed, the last one: {why}");
        (QueueState::Held { by: "the coordinator".to_owned() }, why)
    } else {
        (QueueState::Waiting, format!("its start has failed: {why}"))
    };
    (BackOff { tries, until }, Change::State { run: run.clone(), state, why })
}
