//! Gates of memory: claims must stay within the budget, and enough memory must be available.

use bij_core::port::Sample;
use bij_core::queue::ClosedGate;
use bij_core::{Bytes, CoordinatorSettings, Percent};

use super::capacity::UsedCapacity;

/// Memory that runs can claim.
///
/// A value that could not be read closes no gate: claims still have to fit the budget, and the report
/// names the value.
pub(super) struct Limits {
    /// Bound on the sum of all claims; `None` is unlimited.
    budget: Option<Bytes>,
    total: Option<Bytes>,
    available: Option<Bytes>,
    reserve: Bytes,
    pressure: Option<Percent>,
    at_most: Percent,
}

impl Limits {
    pub(super) fn new(settings: &CoordinatorSettings, sample: &Sample) -> Self {
        let total = sample.memory_total.as_ref().ok().copied();
        Self {
            // A share of an unknown amount is no bound; an absolute amount is.
            budget: settings.budget(total.unwrap_or(Bytes::new(u64::MAX))).at(),
            total,
            available: sample.memory_available.as_ref().ok().copied(),
            reserve: total.map_or(Bytes::default(), |total| settings.reserve(total)),
            pressure: sample.memory_pressure.as_ref().ok().copied().flatten(),
            at_most: settings.pressure(),
        }
    }

    /// Returns the closed gates of a run with this claim.
    pub(super) fn closed(
        &self,
        claim: Option<Bytes>,
        used: &UsedCapacity,
    ) -> impl Iterator<Item = ClosedGate> {
        let over_budget = self.over_budget(claim, used.claimed());
        let not_available = self.not_available(claim, used.promised());
        [over_budget, not_available, self.pressed()].into_iter().flatten()
    }

    /// Returns whether `claim` no longer fits after another run has taken `taken`.
    pub(super) fn is_short_beside(
        &self,
        claim: Option<Bytes>,
        taken: Bytes,
        used: &UsedCapacity,
    ) -> bool {
        let with = |sum: Bytes| Bytes::new(sum.get().saturating_add(taken.get()));
        self.over_budget(claim, with(used.claimed())).is_some()
            || self.not_available(claim, with(used.promised())).is_some()
    }

    fn over_budget(&self, claim: Option<Bytes>, claimed: Bytes) -> Option<ClosedGate> {
        let (claim, budget) = (claim?, self.budget?);
        let free = Bytes::new(budget.get().saturating_sub(claimed.get()));
        (claim > free).then_some(ClosedGate::Memory { claim, free, budget })
    }

    fn not_available(&self, claim: Option<Bytes>, promised: Bytes) -> Option<ClosedGate> {
        let available = Bytes::new(self.available?.get().saturating_sub(promised.get()));
        let need = self.need(claim);
        (need > available).then_some(ClosedGate::MemoryAvailable { need, available })
    }

    /// Returns the gate of memory pressure, if it is closed.
    pub(super) fn pressed(&self) -> Option<ClosedGate> {
        let (some, at_most) = (self.pressure?, self.at_most);
        (some > at_most).then_some(ClosedGate::MemoryPressure { some, at_most })
    }

    fn need(&self, claim: Option<Bytes>) -> Bytes {
        claim.unwrap_or_default().checked_add(self.reserve).unwrap_or(Bytes::new(u64::MAX))
    }

    /// Returns whether the claim would fit if nothing else were up.
    pub(super) fn can_ever_fit(&self, claim: Option<Bytes>) -> bool {
        let in_budget = claim.zip(self.budget).is_none_or(|(claim, budget)| claim <= budget);
        in_budget && self.total.is_none_or(|total| self.need(claim) <= total)
    }
}
