//! Retries starts that were decided but have not come through.

use bij_core::TimeSpan;
use bij_core::port::Change;
use bij_core::queue::{QueueState, QueuedRun};

use super::thermal::thermal_gate;
use super::time::after;
use super::{Action, Observation, Report, State};

/// Number of failed starts in a row after which a run is held.
pub const MAX_TRIES: u32 = 5;
/// Delay before the first retry, in microseconds; it doubles with each further one.
const FIRST_WAIT: u64 = 5_000_000;
/// Bound on the doublings, so that the return of the bus is noticed within minutes.
const MOST_DOUBLINGS: u32 = 5;

/// Failed starts of a run, and the delay before the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackOff {
    /// Number of failed starts in a row.
    pub tries: u32,
    /// Uptime before which the start is not tried again.
    pub until: TimeSpan,
    /// Error of the last start, as a fragment.
    pub why: String,
}

/// Starts the units of `Starting` runs that are neither up nor under way: the coordinator ended before it
/// had requested the start, or the request failed.
pub(super) fn retry(state: &State, seen: &Observation, report: &mut Report) -> Vec<Action> {
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
        if let Some(gate) = thermal_gate(run, state, seen) {
            report.wait(run, vec![gate], state.last.as_ref());
            continue;
        }
        let until = state.back_off.get(&run.run).map_or(seen.now.uptime, |back_off| back_off.until);
        if until > seen.now.uptime {
            report.decide_again_at(until);
            continue;
        }
        let why = "it was let start before".to_owned();
        actions.push(Action::Start { run: run.run.clone(), from: run.state.clone(), why });
    }
    actions
}

impl BackOff {
    /// Returns the back-off after one more failed start.
    pub fn after(before: Option<&Self>, uptime: TimeSpan, why: &str) -> Self {
        let tries = before.map_or(0, |before| before.tries).saturating_add(1);
        let wait = FIRST_WAIT.saturating_mul(1 << (tries - 1).min(MOST_DOUBLINGS));
        let until = after(uptime, TimeSpan::from_micros(wait));
        Self { tries, until, why: why.to_owned() }
    }

    /// Returns the change that follows for the run: it waits again, and after [`MAX_TRIES`] it is held.
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
