//! Gates that are closed for every run: the service manager is unreachable, or a shutdown is under way.

use bij_core::queue::{ClosedGate, QueueState};

use super::{Observation, Report, State, Unreachable};

/// Returns the gates that are closed for every run.
pub(super) fn closed(seen: &Observation) -> Vec<ClosedGate> {
    let manager = seen.unreachable.clone();
    let manager = manager.map(|Unreachable { since, why }| ClosedGate::Manager { since, why });
    let going_down = seen.going_down.iter().map(|what| ClosedGate::GoingDown { what: *what });
    manager.into_iter().chain(going_down).collect()
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
