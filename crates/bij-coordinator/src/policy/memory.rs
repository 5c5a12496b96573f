//! Memory: what is claimed must stay within the budget, and the machine itself must agree.

use bij_core::definition::CoordinatorSettings;
use bij_core::port::Sample;
use bij_core::queue::ClosedGate;
use bij_core::{Bytes, Percent};

use super::room::Room;

/// The memory there is to be shared out.
///
/// What could not be read keeps nothing from starting: the claims still have to fit, and the report
/// tells that the rest is not known.
pub(super) struct Limits {
    /// `None` is without bound.
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
            // A share of a memory that nobody knows is no bound; an amount is.
            budget: settings.budget(total.unwrap_or(Bytes::new(u64::MAX))).at(),
            total,
            available: sample.memory_available.as_ref().ok().copied(),
            reserve: total.map_or(Bytes::default(), |total| settings.reserve(total)),
            pressure: sample.memory_pressure.as_ref().ok().copied().flatten(),
            at_most: settings.pressure(),
        }
    }

    /// The closed gates of a run with this claim.
    pub(super) fn closed(
        &self,
        claim: Option<Bytes>,
        room: &Room,
    ) -> impl Iterator<Item = ClosedGate> {
        let over_budget = self.over_budget(claim, room.claimed());
        let not_available = self.not_available(claim, room.promised());
        [over_budget, not_available, self.pressed()].into_iter().flatten()
    }

    /// Whether too little is left for a claim once another run has taken so much.
    pub(super) fn is_short_beside(&self, claim: Option<Bytes>, taken: Bytes, room: &Room) -> bool {
        let with = |sum: Bytes| Bytes::new(sum.get().saturating_add(taken.get()));
        self.over_budget(claim, with(room.claimed())).is_some()
            || self.not_available(claim, with(room.promised())).is_some()
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

    /// Whether tasks wait for memory as it is.
    pub(super) fn pressed(&self) -> Option<ClosedGate> {
        let (some, at_most) = (self.pressure?, self.at_most);
        (some > at_most).then_some(ClosedGate::MemoryPressure { some, at_most })
    }

    fn need(&self, claim: Option<Bytes>) -> Bytes {
        claim.unwrap_or_default().checked_add(self.reserve).unwrap_or(Bytes::new(u64::MAX))
    }

    /// Whether so much could ever be had, with nothing else up.
    pub(super) fn can_ever_fit(&self, claim: Option<Bytes>) -> bool {
        let in_budget = claim.zip(self.budget).is_none_or(|(claim, budget)| claim <= budget);
        in_budget && self.total.is_none_or(|total| self.need(claim) <= total)
    }
}
