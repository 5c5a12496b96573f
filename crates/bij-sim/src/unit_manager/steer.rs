//! What holds a unit of the model back: a freezer, and a bound on its processor time.

use bij_core::{CpuQuota, Limit, Outcome, Percent};

use super::Now;
use super::unit::{State, Unit};

#[derive(Debug, Default)]
pub(super) struct Steering {
    /// Since when its life stands still.
    frozen: Option<u64>,
    /// A runtime property: it outlives the life it was set for.
    cap: Option<Percent>,
}

impl Steering {
    pub(super) const fn is_frozen(&self) -> bool {
        self.frozen.is_some()
    }

    /// What bounds its processor time, if it is bounded.
    pub(super) fn quota(&self) -> Option<Limit<CpuQuota>> {
        self.cap.map(CpuQuota::at_most).map(Limit::At)
    }

    /// Its state is another now: whatever was frozen is over.
    pub(super) fn moved_on(&mut self) {
        self.frozen = None;
    }
}

impl Unit {
    /// Freezes or thaws; `None` if it is on its way up or down, which cannot be frozen.
    pub(super) fn set_frozen(&mut self, frozen: bool, now: &Now<'_>) -> Option<Outcome> {
        let State::Running { since, .. } = &mut self.state else {
            return (self.is_down() || !frozen).then_some(Outcome::Unchanged);
        };
        match (self.steering.frozen, frozen) {
            (None, true) => self.steering.frozen = Some(now.at),
            (Some(from), false) => {
                // The time in which it stood still is no part of its life.
                *since = since.saturating_add(now.at.saturating_sub(from));
                self.steering.frozen = None;
            }
            (None, false) | (Some(_), true) => return Some(Outcome::Unchanged),
        }
        self.changed = true;
        Some(Outcome::Changed)
    }

    pub(super) fn set_cap(&mut self, cap: Option<Percent>) -> Outcome {
        if cap == self.steering.cap || cap.is_some() && self.is_down() {
            return Outcome::Unchanged;
        }
        self.steering.cap = cap;
        Outcome::Changed
    }

    pub(super) fn lift(&mut self) {
        self.steering.cap = None;
    }
}
