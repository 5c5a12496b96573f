//! Gates of a run's dependencies on other runs.

use bij_core::queue::{ClosedGate, Condition, Dependencies, Dependency, QueuedRun, RunRef};
use bij_core::{RunEnd, RunState};

use super::{Observation, State};

/// Returns a gate for each unmet dependency; with `any`, none as soon as one dependency is met.
pub(super) fn closed(run: &QueuedRun, state: &State, seen: &Observation) -> Vec<ClosedGate> {
    let unmet = |on: &Dependency| match dependency_status(on, state, seen) {
        DependencyStatus::Met => None,
        DependencyStatus::Unmet { ended } => Some(ClosedGate::Dependency { on: on.clone(), ended }),
    };
    match &run.terms.after {
        Dependencies::All(list) => list.iter().filter_map(unmet).collect(),
        Dependencies::Any(list) => {
            let closed: Vec<_> = list.iter().filter_map(unmet).collect();
            if closed.len() < list.len() { Vec::new() } else { closed }
        }
    }
}

enum DependencyStatus {
    Met,
    Unmet { ended: Option<RunEnd> },
}

fn dependency_status(on: &Dependency, state: &State, seen: &Observation) -> DependencyStatus {
    match (run_state(&on.on, state, seen), on.condition) {
        (Some(RunState::Ended(RunEnd::Success)), _)
        | (Some(RunState::Ended(_)), Condition::End) => DependencyStatus::Met,
        (Some(RunState::Ended(end)), Condition::Success) => {
            DependencyStatus::Unmet { ended: Some(end) }
        }
        (Some(RunState::Open) | None, _) => DependencyStatus::Unmet { ended: None },
    }
}

/// Returns whether a run is open or has ended. Only the store knows whether an experiment's newest run is
/// still in the queue: an older run may be queued after the newest has ended.
fn run_state(run: &RunRef, state: &State, seen: &Observation) -> Option<RunState> {
    match (run, seen.others.get(run)) {
        (RunRef::Newest(_), Some(found)) => *found,
        (_, found) if in_queue(run, state).is_none() => found.copied().flatten(),
        _ => Some(RunState::Open),
    }
}

/// Returns the queued run that a reference names.
pub(super) fn in_queue<'a>(run: &RunRef, state: &'a State) -> Option<&'a QueuedRun> {
    match run {
        RunRef::Newest(experiment) => state.runs_of(experiment).next_back(),
        RunRef::Run(run) => state.runs.get(run),
    }
}
