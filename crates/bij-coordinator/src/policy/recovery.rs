//! Requeues runs that a reboot, or the end of a user's service manager, has interrupted.

use std::borrow::Cow;

use bij_core::port::Change;
use bij_core::queue::{QueueState, QueuedRun};
use bij_core::spec::OnReboot;
use bij_core::{Cause, RunEnd};

use super::{Action, Interruption, State};

/// Holder of a run whose definition says `on_reboot = "hold"`.
const HOLDER: &str = "on_reboot";

/// Returns the state with all interrupted runs back in the queue, and the actions that put them there.
pub(super) fn recover(state: &State) -> (Cow<'_, State>, Vec<Action>) {
    if state.interrupted.is_empty() {
        return (Cow::Borrowed(state), Vec::new());
    }
    let changes = requeue_interrupted(state);
    let mut recovered = state.clone();
    for change in &changes {
        recovered.apply(change);
    }
    (Cow::Owned(recovered), changes.into_iter().map(Action::Change).collect())
}

/// Returns the changes that put runs of another boot where their definition wants them. Resumed runs go
/// before all others of their priority, in their old order. A run whose stop was requested ends as
/// stopped.
pub fn requeue_interrupted(state: &State) -> Vec<Change> {
    let mut interrupted: Vec<(&QueuedRun, Interruption)> = state
        .interrupted
        .iter()
        .filter_map(|(run, how)| Some((state.runs.get(run)?, *how)))
        .collect();
    interrupted.sort_by(|(a, _), (b, _)| a.order().cmp(&b.order()));
    let (stopped, interrupted): (Vec<_>, Vec<_>) =
        interrupted.into_iter().partition(|(run, _)| run.stop.is_some());
    let mut changes: Vec<Change> = stopped.into_iter().filter_map(|(run, _)| end(run)).collect();
    let resumed = interrupted.iter().filter(|(_, how)| is_resumed(*how)).count();
    let mut positions = state.places_before_all(resumed);
    for (run, how) in interrupted {
        let (target, why) = target(how);
        changes.push(Change::State {
            run: run.run.clone(),
            from: Some(run.state.clone()),
            state: target,
            why: why.to_owned(),
        });
        if is_resumed(how)
            && let Some(place) = positions.next()
        {
            changes.push(Change::Move { run: run.run.clone(), place, by: None });
        }
    }
    changes
}

/// Returns the end of a run whose stop was requested.
fn end(run: &QueuedRun) -> Option<Change> {
    let by = run.stop.clone()?;
    Some(Change::End { run: run.run.clone(), end: RunEnd::Stopped, by })
}

fn is_resumed(how: Interruption) -> bool {
    matches!(how, Interruption::Running { on_reboot: Some(OnReboot::Resume), .. })
}

fn target(how: Interruption) -> (QueueState, &'static str) {
    let held = || QueueState::Held { by: HOLDER.to_owned() };
    match how {
        Interruption::BeforeItBegan => {
            (QueueState::Waiting, "the machine went down before it had begun")
        }
        Interruption::Running { on_reboot: None, .. } => {
            (held(), "it was interrupted, and there is no usable definition any more")
        }
        Interruption::Running { on_reboot: Some(wish), cause } => {
            let state = match wish {
                OnReboot::Resume | OnReboot::Requeue => QueueState::Waiting,
                OnReboot::Hold => held(),
            };
            let why = match cause {
                Cause::Reboot => "the machine was rebooted",
                Cause::ManagerStop => "the user's service manager was stopped",
                _ => "the power was lost",
            };
            (state, why)
        }
    }
}
