//! Gates of slots: of the machine, of a group, of an experiment.

use bij_core::queue::{ClosedGate, QueuedRun};

use super::capacity::UsedCapacity;
use super::{Busy, State};

/// Returns the gate of the machine's slots, if all are taken.
pub(super) fn machine(state: &State, used: &UsedCapacity) -> Option<ClosedGate> {
    let (taken, slots) = (used.slots(), state.settings.slots());
    (taken >= slots).then_some(ClosedGate::Slots { taken, slots })
}

/// Returns the gate of its group's slots, if the group has a limit and all are taken.
pub(super) fn group(run: &QueuedRun, state: &State, used: &UsedCapacity) -> Option<ClosedGate> {
    let group = &run.terms.group;
    let (slots, _) = state.group_slots(group)?;
    let taken = used.group_slots(group);
    (taken >= slots).then(|| ClosedGate::GroupSlots { group: group.clone(), taken, slots })
}

/// Returns whether `run` would take the last free slot of the group of `other`.
pub(super) fn is_last_of_group(
    other: &QueuedRun,
    run: &QueuedRun,
    state: &State,
    used: &UsedCapacity,
) -> bool {
    let group = &other.terms.group;
    let slots = state.group_slots(group).map(|(slots, _)| slots);
    run.terms.group == *group && slots.is_some_and(|slots| used.group_slots(group) + 1 >= slots)
}

/// Returns the gate of the experiment's unit, of which there is one.
///
/// While the unit is being stopped, a start could be overtaken by the stop, whatever the unit's state is by
/// now. A run whose own unit that is waits for the unit, not for another run.
pub(super) fn same_experiment(
    run: &QueuedRun,
    state: &State,
    used: &UsedCapacity,
) -> Option<ClosedGate> {
    let experiment = &run.run.experiment;
    let is_stopped = state.busy.get(experiment) == Some(&Busy::Stopping);
    let up = used.run_of(experiment).or(is_stopped.then_some(&run.run))?;
    let is_own = *up == run.run;
    Some(if is_own { ClosedGate::Unit } else { ClosedGate::SameExperiment { run: up.clone() } })
}
