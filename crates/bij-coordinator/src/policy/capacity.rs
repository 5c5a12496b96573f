//! Capacity of the machine in use, and the gates of what is counted: slots and the GPU.

use std::collections::BTreeMap;

use bij_core::queue::{Claim, ClosedGate, GpuClaim, GroupName, QueueState, QueuedRun, Terms};
use bij_core::{Bytes, ExperimentId, RunId};

use super::{Busy, Observation, State};

/// Capacity in use by the units that are up, wherever their start came from.
#[derive(Clone, Debug, Default)]
pub(super) struct UsedCapacity {
    up: BTreeMap<ExperimentId, UsedClaim>,
    groups: BTreeMap<GroupName, u32>,
    /// Sum of the memory claims in bytes; no possible number of runs overflows it.
    claimed: u128,
    /// Share of `claimed` that `MemAvailable` does not reflect yet: the claims of runs whose processes have
    /// not begun.
    promised: u128,
}

#[derive(Clone, Debug)]
struct UsedClaim {
    run: RunId,
    group: GroupName,
    claim: Claim,
    promised: bool,
}

impl UsedCapacity {
    /// Returns the capacity in use now.
    pub(super) fn from_observation(state: &State, seen: &Observation) -> Self {
        let mut used = Self::default();
        for run in state.up() {
            let has_begun = !matches!(run.state, QueueState::Starting { .. });
            used.take(&run.run, &run.terms, !has_begun);
        }
        for untracked in &seen.untracked_units {
            let terms = Terms {
                group: untracked.group.clone(),
                claim: untracked.claim,
                ..Terms::default()
            };
            used.take(&untracked.run, &terms, false);
        }
        used
    }

    /// Adds the claim of a run, unless its experiment is counted already.
    pub(super) fn take(&mut self, run: &RunId, terms: &Terms, promised: bool) {
        if self.up.contains_key(&run.experiment) {
            return;
        }
        *self.groups.entry(terms.group.clone()).or_default() += 1;
        let memory = u128::from(terms.claim.memory.map_or(0, Bytes::get));
        self.claimed += memory;
        self.promised += if promised { memory } else { 0 };
        let taken = UsedClaim {
            run: run.clone(),
            group: terms.group.clone(),
            claim: terms.claim,
            promised,
        };
        self.up.insert(run.experiment.clone(), taken);
    }

    /// Removes the claim of one experiment.
    pub(super) fn without(mut self, experiment: &ExperimentId) -> Self {
        if let Some(UsedClaim { run: _, group, claim, promised }) = self.up.remove(experiment) {
            if let Some(count) = self.groups.get_mut(&group) {
                *count -= 1;
            }
            let memory = u128::from(claim.memory.map_or(0, Bytes::get));
            self.claimed -= memory;
            self.promised -= if promised { memory } else { 0 };
        }
        self
    }

    /// Returns the number of slots in use.
    pub(super) fn slots(&self) -> u32 {
        u32::try_from(self.up.len()).unwrap_or(u32::MAX)
    }

    /// Returns the number of slots of a group in use.
    pub(super) fn group_slots(&self, group: &GroupName) -> u32 {
        self.groups.get(group).copied().unwrap_or(0)
    }

    /// Returns the run of an experiment that is up.
    pub(super) fn run_of(&self, experiment: &ExperimentId) -> Option<&RunId> {
        self.up.get(experiment).map(|taken| &taken.run)
    }

    /// Returns the sum of the memory claims.
    pub(super) fn claimed(&self) -> Bytes {
        to_bytes(self.claimed)
    }

    /// Returns the sum of the memory claims of runs that have not begun.
    pub(super) fn promised(&self) -> Bytes {
        to_bytes(self.promised)
    }

    /// Returns the runs that use the GPU, with their claims.
    pub(super) fn gpu(&self) -> impl Iterator<Item = (&RunId, GpuClaim)> {
        let users = self.up.values().map(|taken| (&taken.run, taken.claim.gpu));
        users.filter(|(_, gpu)| *gpu != GpuClaim::None)
    }
}

/// Returns the gate of the machine's slots, if all are taken.
pub(super) fn machine_slots(state: &State, used: &UsedCapacity) -> Option<ClosedGate> {
    let (taken, slots) = (used.slots(), state.settings.slots());
    (taken >= slots).then_some(ClosedGate::Slots { taken, slots })
}

/// Returns the gate of its group's slots, if the group has a limit and all are taken.
pub(super) fn group_slots(
    run: &QueuedRun,
    state: &State,
    used: &UsedCapacity,
) -> Option<ClosedGate> {
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

/// Returns the gate of the GPU, if a run that is up excludes the claim.
pub(super) fn gpu_in_use(claim: GpuClaim, used: &UsedCapacity) -> Option<ClosedGate> {
    let users = used.gpu().filter(|(_, gpu)| gpu_claims_clash(claim, *gpu));
    let used_by: Vec<_> = users.map(|(run, _)| run.clone()).collect();
    (!used_by.is_empty()).then_some(ClosedGate::Gpu { used_by })
}

/// Returns whether two claims exclude each other.
pub(super) const fn gpu_claims_clash(one: GpuClaim, other: GpuClaim) -> bool {
    match (one, other) {
        (GpuClaim::None, _) | (_, GpuClaim::None) | (GpuClaim::Shared, GpuClaim::Shared) => false,
        (GpuClaim::Exclusive, _) | (_, GpuClaim::Exclusive) => true,
    }
}

fn to_bytes(sum: u128) -> Bytes {
    Bytes::new(u64::try_from(sum).unwrap_or(u64::MAX))
}
