//! How many may be up: on the machine, of a group, of an experiment.

use bij_core::queue::{ClosedGate, QueuedRun};

use super::room::Room;
use super::{Busy, State};

/// On the machine.
pub(super) fn machine(state: &State, room: &Room) -> Option<ClosedGate> {
    let (taken, slots) = (room.slots(), state.settings.slots());
    (taken >= slots).then_some(ClosedGate::Slots { taken, slots })
}

/// Of its group, if somebody has given that a number.
pub(super) fn group(run: &QueuedRun, state: &State, room: &Room) -> Option<ClosedGate> {
    let group = &run.terms.group;
    let (slots, _) = state.group_slots(group)?;
    let taken = room.group_slots(group);
    (taken >= slots).then(|| ClosedGate::GroupSlots { group: group.clone(), taken, slots })
}

/// Whether a run takes the last slot that the group of another has left.
pub(super) fn is_last_of_group(
    other: &QueuedRun,
    run: &QueuedRun,
    state: &State,
    room: &Room,
) -> bool {
    let group = &other.terms.group;
    let slots = state.group_slots(group).map(|(slots, _)| slots);
    run.terms.group == *group && slots.is_some_and(|slots| room.group_slots(group) + 1 >= slots)
}

/// An experiment has one unit; as long as that is being stopped, whatever it looks like by now, a
/// start could be overtaken by the stop. A run whose own unit that is waits for no other run.
pub(super) fn same_experiment(run: &QueuedRun, state: &State, room: &Room) -> Option<ClosedGate> {
    let experiment = &run.run.experiment;
    let is_stopped = state.busy.get(experiment) == Some(&Busy::Stopping);
    let up = room.run_of(experiment).or(is_stopped.then_some(&run.run))?;
    let is_own = *up == run.run;
    Some(if is_own { ClosedGate::Unit } else { ClosedGate::SameExperiment { run: up.clone() } })
}
