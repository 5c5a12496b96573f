//! Starts that did not come through.

use bij_core::TimeSpan;
use bij_core::port::Change;
use bij_core::queue::{QueueState, QueuedRun};

use super::heat::closed_by_heat;
use super::time::after;
use super::{Action, Observation, Report, State};

/// So many failed starts in a row, and a run is held for somebody to look at it.
pub const MAX_TRIES: u32 = 5;
/// A start is tried again after so long the first time, and after twice as long each further time.
const FIRST_WAIT: u64 = 5_000_000;
/// At most this many times: a bus that comes back is noticed within minutes.
const MOST_DOUBLINGS: u32 = 5;

/// A start that has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackOff {
    /// How many have failed in a row.
    pub tries: u32,
    /// The uptime until which it is put off.
    pub until: TimeSpan,
    /// Why the last one failed, as a fragment.
    pub why: String,
}

/// Starts the units of those that were let start and are neither up nor under way: the coordinator
/// was gone before it had asked for the start, or could not ask.
pub(super) fn carry_on(state: &State, seen: &Observation, report: &mut Report) -> Vec<Action> {
    let starting = state.up().filter(|run| matches!(run.state, QueueState::Starting { .. }));
    let mut actions = Vec::new();
    for run in starting {
        let experiment = &run.run.experiment;
        if seen.is_on_its_way(experiment)
            || state.busy.contains_key(experiment)
            || state.stops.contains_key(experiment)
        {
            continue;
        }
        if let Some(gate) = closed_by_heat(run, state, seen) {
            report.wait(run, vec![gate], state.last.as_ref());
            continue;
        }
        let until = state.back_off.get(&run.run).map_or(seen.now.uptime, |back_off| back_off.until);
        if until > seen.now.uptime {
            report.look_at(until);
            continue;
        }
        let why = "it was let start before".to_owned();
        actions.push(Action::Start { run: run.run.clone(), from: run.state.clone(), why });
    }
    actions
}

impl BackOff {
    /// After one more start that came to nothing, for this reason.
    pub fn after(before: Option<&Self>, uptime: TimeSpan, why: &str) -> Self {
        let tries = before.map_or(0, |before| before.tries).saturating_add(1);
        let wait = FIRST_WAIT.saturating_mul(1 << (tries - 1).min(MOST_DOUBLINGS));
        let until = after(uptime, TimeSpan::from_micros(wait));
        Self { tries, until, why: why.to_owned() }
    }

    /// What becomes of the run: it waits again, and at last it is held.
    pub fn consequence(&self, run: &QueuedRun) -> Change {
        let Self { tries: _, until: _, why } = self;
        let (state, why) = if self.tries >= MAX_TRIES {
            let why = format!("{} starts in a row have failed, the last one: {why}", self.tries);
            (QueueState::Held { by: "the coordinator".to_owned() }, why)
        } else {
            (QueueState::Waiting, format!("its start has failed: {why}"))
        };
        Change::State { run: run.run.clone(), from: Some(run.state.clone()), state, why }
    }
}
