//! Gates of runs that are held, and of admission that is paused.

use bij_core::queue::{ClosedGate, QueueState, QueuedRun};

use super::State;

/// Returns the gate of a held run.
pub(super) fn held(run: &QueuedRun) -> Option<ClosedGate> {
    match &run.state {
        QueueState::Held { by } => Some(ClosedGate::Hold { by: by.clone() }),
        QueueState::Waiting | QueueState::Starting { .. } | QueueState::Running => None,
    }
}

/// Returns the gates of a pause of all runs and of the run's group.
pub(super) fn paused(run: &QueuedRun, state: &State) -> impl Iterator<Item = ClosedGate> {
    let all = state.paused.as_ref().map(|pause| (None, pause));
    let group = state.groups.get(&run.terms.group);
    let group = group.and_then(|group| Some((Some(&group.name), group.paused.as_ref()?)));
    all.into_iter()
        .chain(group)
        .map(|(group, pause)| ClosedGate::Paused { group: group.cloned(), by: pause.by.clone() })
}
