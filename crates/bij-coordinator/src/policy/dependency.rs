//! What must have happened to other runs.

use bij_core::queue::{ClosedGate, Condition, Dependencies, Dependency, QueuedRun, RunRef};
use bij_core::{RunEnd, RunState};

use super::{Observation, State};

/// The dependencies that are not met; with `any`, none is told once one is met.
pub(super) fn closed(run: &QueuedRun, state: &State, seen: &Observation) -> Vec<ClosedGate> {
    let unmet = |on: &Dependency| match verdict(on, state, seen) {
        Verdict::Met => None,
        Verdict::Unmet { ended } => Some(ClosedGate::Dependency { on: on.clone(), ended }),
    };
    match &run.terms.after {
        Dependencies::All(list) => list.iter().filter_map(unmet).collect(),
        Dependencies::Any(list) => {
            let closed: Vec<_> = list.iter().filter_map(unmet).collect();
            if closed.len() < list.len() { Vec::new() } else { closed }
        }
    }
}

enum Verdict {
    Met,
    Unmet { ended: Option<RunEnd> },
}

fn verdict(on: &Dependency, state: &State, seen: &Observation) -> Verdict {
    match (run_state(&on.on, state, seen), on.condition) {
        (Some(RunState::Ended(RunEnd::Success)), _)
        | (Some(RunState::Ended(_)), Condition::End) => Verdict::Met,
        (Some(RunState::Ended(end)), Condition::Success) => Verdict::Unmet { ended: Some(end) },
        (Some(RunState::Open) | None, _) => Verdict::Unmet { ended: None },
    }
}

/// Where a run is. Whether an experiment's newest run is in the queue only the store can tell: an
/// older one may still be there when it is over.
fn run_state(run: &RunRef, state: &State, seen: &Observation) -> Option<RunState> {
    match (run, seen.others.get(run)) {
        (RunRef::Newest(_), Some(found)) => *found,
        (_, found) if in_queue(run, state).is_none() => found.copied().flatten(),
        _ => Some(RunState::Open),
    }
}

/// The run in the queue that is spoken of.
pub(super) fn in_queue<'a>(run: &RunRef, state: &'a State) -> Option<&'a QueuedRun> {
    match run {
        RunRef::Newest(experiment) => state.runs_of(experiment).next_back(),
        RunRef::Run(run) => state.runs.get(run),
    }
}
