//! Orders to units besides the starts of waiting runs: starts that were decided but have not come through, and
//! requested stops.

use bij_core::port::Change;
use bij_core::queue::{ClosedGate, QueueState, QueuedRun};
use bij_core::{Order, TimeSpan, Uptime};

use super::thermal::thermal_gate;
use super::{Action, Observation, Report, State, StopRequest};

/// Number of failed starts in a row after which a run is held.
pub const MAX_TRIES: u32 = 5;
/// Delay before the first retry; it doubles with each further one.
const FIRST_WAIT: TimeSpan = TimeSpan::from_secs(5);
/// Bound on the doublings, so that the return of the bus is noticed within minutes.
const MOST_DOUBLINGS: u32 = 5;

/// Failed starts of a run, and the delay before the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackOff {
    /// Number of failed starts in a row.
    pub tries: u32,
    /// Uptime before which the start is not tried again.
    pub until: Uptime,
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
        let why = "it was admitted before".to_owned();
        actions.push(Action::Start { run: run.run.clone(), from: run.state.clone(), why });
    }
    actions
}

/// Reports these gates for `Starting` runs whose start has not been requested from the service manager yet.
pub(super) fn report_starting(
    state: &State,
    seen: &Observation,
    closed_to_all: &[ClosedGate],
    report: &mut Report,
) {
    let is_starting = |state: &QueueState| matches!(state, QueueState::Starting { .. });
    for run in state.up().filter(|run| is_starting(&run.state)) {
        let experiment = &run.run.experiment;
        if !state.busy.contains_key(experiment) && !seen.is_on_its_way(experiment) {
            report.wait(run, closed_to_all.to_vec(), state.last.as_ref());
        }
    }
}

/// Requester of a stop that follows a requeue or a cancellation.
pub(super) const OURSELVES: &str = "the coordinator";

/// Stops units whose stop was requested, or whose run was requeued or cancelled.
pub(super) fn stop(state: &State, seen: &Observation) -> Vec<Action> {
    let requested = state.stops.iter().filter(|(_, stop)| stop.not_before <= seen.now.uptime);
    let requested =
        requested.map(|(experiment, StopRequest { order, .. })| (experiment, order.clone()));
    let wanted = |by: &String| Order::stop(by.clone());
    let of_runs =
        state.up().filter_map(|run| Some((&run.run.experiment, run.stop.as_ref().map(wanted)?)));
    let of_runs = of_runs.filter(|(experiment, _)| !state.stops.contains_key(*experiment));
    // The requester may be known only to an earlier coordinator.
    let unwanted = seen.untracked_units.iter().filter(|untracked| {
        untracked.unwanted && !state.stops.contains_key(&untracked.run.experiment)
    });
    let unwanted = unwanted.map(|untracked| (&untracked.run.experiment, Order::stop(OURSELVES)));
    requested
        .chain(of_runs)
        .chain(unwanted)
        .filter(|(experiment, _)| seen.is_up(experiment) && !state.busy.contains_key(*experiment))
        .map(|(experiment, order)| Action::Stop { experiment: experiment.clone(), order })
        .collect()
}

impl BackOff {
    /// Returns the back-off after one more failed start.
    pub fn after(before: Option<&Self>, uptime: Uptime, why: &str) -> Self {
        let tries = before.map_or(0, |before| before.tries).saturating_add(1);
        let wait = FIRST_WAIT.saturating_mul(1 << (tries - 1).min(MOST_DOUBLINGS));
        Self { tries, until: uptime + wait, why: why.to_owned() }
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
