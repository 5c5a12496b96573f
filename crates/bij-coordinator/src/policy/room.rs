//! What of the machine is taken.

use std::collections::BTreeMap;

use bij_core::queue::{Claim, GpuClaim, GroupName, QueueState, Terms};
use bij_core::{Bytes, ExperimentId, RunId};

use super::{Observation, State};

/// What of the machine is taken by what is up, wherever it came from.
#[derive(Clone, Debug, Default)]
pub(super) struct Room {
    up: BTreeMap<ExperimentId, Taken>,
    groups: BTreeMap<GroupName, u32>,
    /// The sum of the claims; as many runs as there may be do not overflow it.
    claimed: u128,
    /// What of it has not been taken from `MemAvailable` yet: the claims of those that were let
    /// start and have not begun.
    promised: u128,
}

#[derive(Clone, Debug)]
struct Taken {
    run: RunId,
    group: GroupName,
    claim: Claim,
    promised: bool,
}

impl Room {
    /// What is taken now.
    pub(super) fn taken(state: &State, seen: &Observation) -> Self {
        let mut room = Self::default();
        for run in state.up() {
            let begun = !matches!(run.state, QueueState::Starting { .. });
            room.take(&run.run, &run.terms, !begun);
        }
        for stray in &seen.strays {
            let terms =
                Terms { group: stray.group.clone(), claim: stray.claim, ..Terms::default() };
            room.take(&stray.run, &terms, false);
        }
        room
    }

    /// Takes what a run claims; an experiment whose unit is up already takes nothing further.
    pub(super) fn take(&mut self, run: &RunId, terms: &Terms, promised: bool) {
        if self.up.contains_key(&run.experiment) {
            return;
        }
        *self.groups.entry(terms.group.clone()).or_default() += 1;
        let memory = u128::from(terms.claim.memory.map_or(0, Bytes::get));
        self.claimed += memory;
        self.promised += if promised { memory } else { 0 };
        let taken =
            Taken { run: run.clone(), group: terms.group.clone(), claim: terms.claim, promised };
        self.up.insert(run.experiment.clone(), taken);
    }

    /// The same without what one experiment takes.
    pub(super) fn without(mut self, experiment: &ExperimentId) -> Self {
        if let Some(Taken { run: _, group, claim, promised }) = self.up.remove(experiment) {
            if let Some(count) = self.groups.get_mut(&group) {
                *count -= 1;
            }
            let memory = u128::from(claim.memory.map_or(0, Bytes::get));
            self.claimed -= memory;
            self.promised -= if promised { memory } else { 0 };
        }
        self
    }

    /// How many slots are taken.
    pub(super) fn slots(&self) -> u32 {
        u32::try_from(self.up.len()).unwrap_or(u32::MAX)
    }

    /// How many slots of a group are taken.
    pub(super) fn group_slots(&self, group: &GroupName) -> u32 {
        self.groups.get(group).copied().unwrap_or(0)
    }

    /// The run of an experiment that is up.
    pub(super) fn run_of(&self, experiment: &ExperimentId) -> Option<&RunId> {
        self.up.get(experiment).map(|taken| &taken.run)
    }

    /// The sum of the claims.
    pub(super) fn claimed(&self) -> Bytes {
        to_bytes(self.claimed)
    }

    /// The sum of the claims of those that have not begun.
    pub(super) fn promised(&self) -> Bytes {
        to_bytes(self.promised)
    }

    /// Who uses the GPU, and how.
    pub(super) fn gpu(&self) -> impl Iterator<Item = (&RunId, GpuClaim)> {
        let users = self.up.values().map(|taken| (&taken.run, taken.claim.gpu));
        users.filter(|(_, gpu)| *gpu != GpuClaim::None)
    }
}

fn to_bytes(sum: u128) -> Bytes {
    Bytes::new(u64::try_from(sum).unwrap_or(u64::MAX))
}
