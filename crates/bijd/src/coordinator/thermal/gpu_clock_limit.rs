//! Limits the GPU's clock for heat, and restores it.
//!
//! Power modes and operators set the same limit. So it is read before each change, and a limit that is no longer ours is
//! left alone.

use bij_coordinator::thermal::GpuClockReading;
use bij_core::Hertz;
use bij_core::port::{BoardReadError, GpuClock, GpuClockError};
use serde::{Deserialize, Serialize};

/// The limit that we have set, with the one to restore; stored for the next coordinator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedGpuLimit {
    /// The limits that may be ours: one, or two during a change.
    ours: Vec<Hertz>,
    /// The limit before ours.
    before: Hertz,
}

/// The GPU's clock, and our limit if one is in force.
#[derive(Debug)]
pub(super) struct GpuClockLimit<G> {
    clock: G,
    saved: Option<SavedGpuLimit>,
    /// The possible limits, ascending; empty if the clock cannot be limited.
    rates: Vec<Hertz>,
    /// Whether a change has failed, so that no other is tried.
    is_broken: bool,
}

impl<G: GpuClock> GpuClockLimit<G> {
    /// Returns the clock with the limit that a previous coordinator has left in force.
    pub(super) fn resume(clock: G, saved: Option<SavedGpuLimit>) -> Self {
        Self { clock, saved, rates: Vec::new(), is_broken: false }
    }

    /// Reads the clock. Returns the limit that replaced ours, if it was changed from outside.
    pub(super) fn read(&mut self) -> Option<Hertz> {
        self.rates.clear();
        if self.is_broken && self.saved.is_none() {
            return None;
        }
        let Ok(clocks) = self.clock.clocks() else { return None };
        let is_ours = |saved: &SavedGpuLimit| saved.ours.contains(&clocks.max);
        let foreign = self.saved.take_if(|saved| !is_ours(saved)).map(|_| clocks.max);
        let top = self.saved.as_ref().map_or(clocks.max, |saved| saved.before);
        self.rates = clocks.rates.into_iter().filter(|rate| *rate < top).chain([top]).collect();
        foreign
    }

    /// Forgets the last reading, so that the clock is not used.
    pub(super) fn clear_reading(&mut self) {
        self.rates.clear();
    }

    /// Returns the last reading for the ladder; `None` if the clock cannot be limited.
    pub(super) fn reading(&self) -> Option<GpuClockReading<'_>> {
        let bound = self.saved.as_ref().and_then(|saved| saved.ours.last().copied());
        let rates = self.rates.as_slice();
        (rates.len() > 1 && !self.is_broken).then_some(GpuClockReading { rates, bound })
    }

    /// Returns our limit, if one is in force.
    pub(super) fn saved(&self) -> Option<&SavedGpuLimit> {
        self.saved.as_ref()
    }

    /// Limits the clock. `note` stores the limit before it is set, and the result.
    ///
    /// # Errors
    /// [`GpuClockError`] if that failed; the previous limit is restored if possible, and no other change is tried.
    pub(super) fn cap(
        &mut self,
        to: Hertz,
        mut note: impl FnMut(Option<&SavedGpuLimit>),
    ) -> Result<(), GpuClockError> {
        let now = self.clock.clocks()?;
        let mut saved = self
            .saved
            .take()
            .unwrap_or_else(|| SavedGpuLimit { ours: Vec::new(), before: now.max });
        saved.ours.push(to);
        note(Some(&saved));
        let done = self.clock.set_max(to);
        if done.is_ok() {
            saved.ours = vec![to];
            self.saved = Some(saved);
        } else {
            self.is_broken = true;
            // If this fails too, nothing else can be tried.
            let _ = self.clock.set_max(saved.before);
        }
        note(self.saved.as_ref());
        done
    }

    /// Restores the limit from before ours.
    ///
    /// # Errors
    /// [`GpuClockError`] if that failed; no other change is tried.
    pub(super) fn lift(
        &mut self,
        mut note: impl FnMut(Option<&SavedGpuLimit>),
    ) -> Result<(), GpuClockError> {
        let Some(SavedGpuLimit { ours, before }) = self.saved.take() else { return Ok(()) };
        let lifted = match self.clock.clocks() {
            Ok(clocks) if ours.contains(&clocks.max) => self.clock.set_max(before),
            // The limit was changed from outside meanwhile.
            Ok(_) => Ok(()),
            Err(BoardReadError { what, why }) => Err(BoardReadError { what, why }.into()),
        };
        self.is_broken |= lifted.is_err();
        note(None);
        lifted
    }
}

#[cfg(test)]
mod tests {
    use bij_sim::SimGpuClock;

    use super::*;

    fn rates() -> [Hertz; 4] {
        [300, 600, 900, 1200].map(|mega| Hertz::new(mega * 1_000_000))
    }

    fn limit(saved: Option<SavedGpuLimit>) -> (GpuClockLimit<SimGpuClock>, SimGpuClock) {
        let clock = SimGpuClock::new(rates());
        (GpuClockLimit::resume(clock.clone(), saved), clock)
    }

    fn max(clock: &SimGpuClock) -> Hertz {
        clock.clocks().unwrap().max
    }

    #[test]
    fn the_previous_limit_is_restored_even_by_the_next_coordinator() {
        let (mut limit, clock) = limit(None);
        let [_, low, high, top] = rates();
        assert_eq!(limit.reading(), None, "it has not been read yet");
        assert_eq!(limit.read(), None);
        assert_eq!(limit.reading().map(|seen| seen.rates), Some(&rates()[..]));
        let mut noted = Vec::new();
        let mut note = |saved: Option<&SavedGpuLimit>| noted.push(saved.cloned());
        limit.cap(high, &mut note).unwrap();
        limit.cap(low, &mut note).unwrap();
        assert_eq!(max(&clock), low);
        assert_eq!(limit.reading().unwrap().bound, Some(low));
        // A coordinator may be killed after any note, with either limit in force.
        for (saved, is) in [(&noted[2], high), (&noted[3], low)] {
            clock.set_externally(is);
            let mut next = GpuClockLimit::resume(clock.clone(), saved.clone());
            assert_eq!(next.read(), None);
            assert_eq!(next.reading().unwrap().rates.last(), Some(&top));
            next.lift(|_| ()).unwrap();
            assert_eq!(max(&clock), top);
        }
    }

    #[test]
    fn a_foreign_limit_is_left_alone_and_no_rate_above_it_is_used() {
        let (mut limit, clock) = limit(None);
        let [low, high, ..] = rates();
        limit.read();
        limit.cap(low, |_| ()).unwrap();
        clock.set_externally(high);
        assert_eq!(limit.read(), Some(high));
        let seen = limit.reading().unwrap();
        assert_eq!((seen.rates, seen.bound), (&[low, high][..], None));
        limit.cap(low, |_| ()).unwrap();
        limit.lift(|_| ()).unwrap();
        assert_eq!(max(&clock), high);
        // A change from outside at the moment of the restore.
        limit.cap(low, |_| ()).unwrap();
        clock.set_externally(rates()[2]);
        limit.lift(|_| ()).unwrap();
        assert_eq!(max(&clock), rates()[2]);
    }

    #[test]
    fn a_limit_that_cannot_be_set_is_tried_once() {
        let (mut limit, clock) = limit(None);
        limit.read();
        clock.set_refuses(true);
        let mut noted = Vec::new();
        limit.cap(rates()[0], |saved| noted.push(saved.cloned())).unwrap_err();
        assert_eq!(noted.last(), Some(&None), "nothing is in force");
        clock.set_refuses(false);
        limit.read();
        assert_eq!(limit.reading(), None);
        let (mut limit, clock) = self::limit(None);
        clock.set_present(false);
        limit.read();
        assert_eq!(limit.reading(), None);
        clock.set_present(true);
        limit.read();
        assert!(limit.reading().is_some(), "a driver may come late");
    }
}
