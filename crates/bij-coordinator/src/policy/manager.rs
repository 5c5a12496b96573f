//! The service manager that starts them, and all else that keeps everything from starting.

use bij_core::queue::{ClosedGate, QueueState};

use super::{Observation, Report, State, Unreachable};

/// The gates that are closed to every run.
pub(super) fn closed(seen: &Observation) -> Vec<ClosedGate> {
    let manager = seen.unreachable.clone();
    let manager = manager.map(|Unreachable { since, why }| ClosedGate::Manager { since, why });
    let going_down = seen.going_down.iter().map(|what| ClosedGate::GoingDown { what: *what });
    manager.into_iter().chain(going_down).collect()
}

/// Those that were let start and whose start is not asked for wait as well, for nothing else.
pub(super) fn wait(
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
