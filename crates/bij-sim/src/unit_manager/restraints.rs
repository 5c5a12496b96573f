//! Freezing and CPU caps of a simulated unit.

use bij_core::{CpuQuota, Limit, MonotonicTime, Outcome, Percent};

use super::UnitContext;
use super::unit::{Unit, UnitPhase};

/// The restraints of a simulated unit.
#[derive(Debug, Default)]
pub(super) struct SimRestraints {
    /// When the unit was frozen.
    frozen: Option<MonotonicTime>,
    /// A runtime property, which outlives the attempt that it was set for.
    cap: Option<Percent>,
}

impl SimRestraints {
    pub(super) const fn is_frozen(&self) -> bool {
        self.frozen.is_some()
    }

    /// Returns the quota that the cap sets.
    pub(super) fn quota(&self) -> Option<Limit<CpuQuota>> {
        self.cap.map(CpuQuota::at_most).map(Limit::At)
    }

    /// Forgets the freeze: the unit has changed its phase.
    pub(super) fn reset_frozen(&mut self) {
        self.frozen = None;
    }
}

impl Unit {
    /// Freezes or thaws the unit. Returns `None` while it starts or stops, when it cannot be
    /// frozen.
    pub(super) fn set_frozen(
        &mut self,
        frozen: bool,
        context: &UnitContext<'_>,
    ) -> Option<Outcome> {
        let UnitPhase::Running { since, .. } = &mut self.phase else {
            return (self.is_down() || !frozen).then_some(Outcome::Unchanged);
        };
        match (self.restraints.frozen, frozen) {
            (None, true) => self.restraints.frozen = Some(context.at),
            (Some(from), false) => {
                // The attempt lasts longer by the time in which it was frozen.
                *since = *since + (context.at - from);
                self.restraints.frozen = None;
            }
            (None, false) | (Some(_), true) => return Some(Outcome::Unchanged),
        }
        self.changed = true;
        Some(Outcome::Changed)
    }

    pub(super) fn set_cap(&mut self, cap: Option<Percent>) -> Outcome {
        if cap == self.restraints.cap || cap.is_some() && self.is_down() {
            return Outcome::Unchanged;
        }
        self.restraints.cap = cap;
        Outcome::Changed
    }

    pub(super) fn remove_cap(&mut self) {
        self.restraints.cap = None;
    }
}
