//! Bounds the GPU's clock for heat, and puts it back.
//!
//! Power modes set the same bound, and so may an operator. So it is looked what it is before anything is
//! done about it: a bound that is not ours any more is somebody else's, and left alone.

use bij_coordinator::heat::GpuClockState;
use bij_core::Hertz;
use bij_core::port::{GpuClock, GpuClockError, Unread};
use serde::{Deserialize, Serialize};

/// What is in force of ours, for the next coordinator as well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HeldGpu {
    /// What the bound may be for that we have set it: one, or two while it is being changed.
    ours: Vec<Hertz>,
    /// What it was before.
    before: Hertz,
}

/// The clock, and what is in force.
#[derive(Debug)]
pub(super) struct GpuRein<G> {
    clock: G,
    held: Option<HeldGpu>,
    /// What it may be bounded to, ascending; nothing if it cannot be.
    rates: Vec<Hertz>,
    /// It was tried, and failed: it is not tried again.
    is_broken: bool,
}

impl<G: GpuClock> GpuRein<G> {
    /// With what a coordinator before this one has left in force.
    pub(super) fn taking_over(clock: G, held: Option<HeldGpu>) -> Self {
        Self { clock, held, rates: Vec::new(), is_broken: false }
    }

    /// Looks how the clock stands. Gives what somebody else has set instead of our bound, if so.
    pub(super) fn look(&mut self) -> Option<Hertz> {
        self.rates.clear();
        if self.is_broken && self.held.is_none() {
            return None;
        }
        let Ok(clocks) = self.clock.clocks() else { return None };
        let is_ours = |held: &HeldGpu| held.ours.contains(&clocks.max);
        let theirs = self.held.take_if(|held| !is_ours(held)).map(|_| clocks.max);
        let top = self.held.as_ref().map_or(clocks.max, |held| held.before);
        self.rates = clocks.rates.into_iter().filter(|rate| *rate < top).chain([top]).collect();
        theirs
    }

    /// Forgets what was looked at: nothing is to be done about the clock now.
    pub(super) fn look_away(&mut self) {
        self.rates.clear();
    }

    /// The same for the ladder; `None` if it cannot be bounded.
    pub(super) fn seen(&self) -> Option<GpuClockState<'_>> {
        let bound = self.held.as_ref().and_then(|held| held.ours.last().copied());
        let rates = self.rates.as_slice();
        (rates.len() > 1 && !self.is_broken).then_some(GpuClockState { rates, bound })
    }

    /// What is in force.
    pub(super) fn held(&self) -> Option<&HeldGpu> {
        self.held.as_ref()
    }

    /// Bounds it, when `note` has noted what will be in force then.
    ///
    /// # Errors
    /// [`GpuClockError`] if that failed; it is as it was before, if it can be, and not tried again.
    pub(super) fn cap(
        &mut self,
        to: Hertz,
        mut note: impl FnMut(Option<&HeldGpu>),
    ) -> Result<(), GpuClockError> {
        let now = self.clock.clocks()?;
        let mut held =
            self.held.take().unwrap_or_else(|| HeldGpu { ours: Vec::new(), before: now.max });
        held.ours.push(to);
        note(Some(&held));
        let done = self.clock.set_max(to);
        if done.is_ok() {
            held.ours = vec![to];
            self.held = Some(held);
        } else {
            self.is_broken = true;
            // If this fails as well, there is nothing left to try.
            let _ = self.clock.set_max(held.before);
        }
        note(self.held.as_ref());
        done
    }

    /// Puts it back.
    ///
    /// # Errors
    /// [`GpuClockError`] if that failed; it is not tried again.
    pub(super) fn lift(
        &mut self,
        mut note: impl FnMut(Option<&HeldGpu>),
    ) -> Result<(), GpuClockError> {
        let Some(HeldGpu { ours, before }) = self.held.take() else { return Ok(()) };
        let lifted = match self.clock.clocks() {
            Ok(clocks) if ours.contains(&clocks.max) => self.clock.set_max(before),
            // Somebody else has set another one just now.
            Ok(_) => Ok(()),
            Err(Unread { what, why }) => Err(Unread { what, why }.into()),
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

    fn rein(held: Option<HeldGpu>) -> (GpuRein<SimGpuClock>, SimGpuClock) {
        let clock = SimGpuClock::new(rates());
        (GpuRein::taking_over(clock.clone(), held), clock)
    }

    fn max(clock: &SimGpuClock) -> Hertz {
        clock.clocks().unwrap().max
    }

    #[test]
    fn what_was_before_is_put_back_also_by_the_next_coordinator() {
        let (mut rein, clock) = rein(None);
        let [_, low, high, top] = rates();
        assert_eq!(rein.seen(), None, "nobody has looked");
        assert_eq!(rein.look(), None);
        assert_eq!(rein.seen().map(|seen| seen.rates), Some(&rates()[..]));
        let mut noted = Vec::new();
        let mut note = |held: Option<&HeldGpu>| noted.push(held.cloned());
        rein.cap(high, &mut note).unwrap();
        rein.cap(low, &mut note).unwrap();
        assert_eq!(max(&clock), low);
        assert_eq!(rein.seen().unwrap().bound, Some(low));
        // It may be killed after any note, with either bound in force.
        for (held, is) in [(&noted[2], high), (&noted[3], low)] {
            clock.set_externally(is);
            let mut next = GpuRein::taking_over(clock.clone(), held.clone());
            assert_eq!(next.look(), None);
            assert_eq!(next.seen().unwrap().rates.last(), Some(&top));
            next.lift(|_| ()).unwrap();
            assert_eq!(max(&clock), top);
        }
    }

    #[test]
    fn what_somebody_else_sets_is_left_alone_and_what_is_above_it_is_not_used() {
        let (mut rein, clock) = rein(None);
        let [low, high, ..] = rates();
        rein.look();
        rein.cap(low, |_| ()).unwrap();
        clock.set_externally(high);
        assert_eq!(rein.look(), Some(high));
        let seen = rein.seen().unwrap();
        assert_eq!((seen.rates, seen.bound), (&[low, high][..], None));
        rein.cap(low, |_| ()).unwrap();
        rein.lift(|_| ()).unwrap();
        assert_eq!(max(&clock), high);
        // In the very moment in which it is lifted.
        rein.cap(low, |_| ()).unwrap();
        clock.set_externally(rates()[2]);
        rein.lift(|_| ()).unwrap();
        assert_eq!(max(&clock), rates()[2]);
    }

    #[test]
    fn what_cannot_be_set_is_tried_once() {
        let (mut rein, clock) = rein(None);
        rein.look();
        clock.set_refuses(true);
        let mut noted = Vec::new();
        rein.cap(rates()[0], |held| noted.push(held.cloned())).unwrap_err();
        assert_eq!(noted.last(), Some(&None), "nothing is in force");
        clock.set_refuses(false);
        rein.look();
        assert_eq!(rein.seen(), None);
        let (mut rein, clock) = self::rein(None);
        clock.set_present(false);
        rein.look();
        assert_eq!(rein.seen(), None);
        clock.set_present(true);
        rein.look();
        assert!(rein.seen().is_some(), "a driver may come late");
    }
}
