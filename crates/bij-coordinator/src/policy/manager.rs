//! The service manager that starts them.

use bij_core::queue::{ClosedGate, QueueState};

use super::{Report, State, Unreachable};

/// The gate that one closes which cannot be asked.
pub(super) fn closed(by: &Unreachable) -> ClosedGate {
    let Unreachable { since, why } = by.clone();
    ClosedGate::Manager { since, why }
}

/// Those that were let start and whose start cannot be asked for wait as well, for nothing else.
pub(super) fn wait(state: &State, by: &Unreachable, report: &mut Report) {
    let is_starting = |state: &QueueState| matches!(state, QueueState::Starting { .. });
    for run in state.up().filter(|run| is_starting(&run.state)) {
        if !state.busy.contains_key(&run.run.experiment) {
            report.wait(run, vec![closed(by)], state.last.as_ref());
        }
    }
}
