//! Whether anything may be started.

use bij_core::TimeSpan;

use super::sense::{Heat, LEAD, seconds_between};
use super::{Because, HeatMove, HeatStep};

/// Nothing is started from so far below the threshold on, in degrees: a start heats at once, and what
/// runs has to be held back for it.
const HOLD_BELOW: f64 = 3.0;
/// It is cool again so far below a threshold.
pub(super) const COOL_BELOW: f64 = 6.0;
/// It opens when it has been cool for so many seconds, and no sooner than so many after the last time:
/// so that a load that comes and goes does not have it go up and down. What ends may be replaced
/// before.
const COOL_FOR: f64 = 300.0;
const BETWEEN_OPENINGS: f64 = 1800.0;

/// The gate before all starts.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Gate {
    shut: Option<Because>,
    opened: Option<TimeSpan>,
    cool_since: Option<TimeSpan>,
    /// What all might take together when it was shut.
    ceiling: f64,
    /// What may be started though it is shut, as far as heat goes.
    room: f64,
    /// What of the budget nobody takes.
    budget_left: f64,
}

impl Gate {
    /// Why it is shut, if it is.
    pub(super) fn why_shut(&self) -> Option<&Because> {
        self.shut.as_ref()
    }

    /// Why one that takes so much processor time, and at least so much of the budget, cannot pass, if it
    /// cannot. What has ended while the gate was shut may be replaced as soon as it is cool, for that
    /// does not add to what there was.
    pub(super) fn stops(&self, takes: f64, at_least: f64) -> Option<&Because> {
        let fits = takes <= self.room && at_least <= self.budget_left;
        self.shut.as_ref().filter(|_| !fits)
    }

    /// Takes in what all that live may take, what is left of the budget, and how hot it is; without
    /// that nothing is replaced.
    pub(super) fn count(
        &mut self,
        claims: f64,
        budget_left: f64,
        heat: Option<&Heat>,
        throttle: f64,
    ) {
        if self.shut.is_none() {
            self.ceiling = claims;
        }
        let is_cool = heat.is_some_and(|heat| is_cool(heat, throttle));
        self.room = if is_cool { self.ceiling - claims } else { f64::NEG_INFINITY };
        self.budget_left = budget_left;
    }

    /// Somebody was told to leave: he is not replaced. This is what the others may take.
    pub(super) fn without_leaving(&mut self, claims: f64) {
        self.ceiling = self.ceiling.min(claims);
    }

    /// Shuts it if it is hot, or if there is another reason.
    pub(super) fn shut(&mut self, heat: &Heat, throttle: f64, other: bool) -> Option<HeatMove> {
        if let Some(missed) = &heat.missed {
            return self.shut_for(Because::Unreadable(missed.clone()));
        }
        let is_hot = heat.after(LEAD).max(heat.raw) >= throttle - HOLD_BELOW;
        if is_hot || other { self.shut_for(heat.because()) } else { None }
    }

    /// Shuts it. Why it is shut is told anew at each look, but shut it is once.
    pub(super) fn shut_for(&mut self, because: Because) -> Option<HeatMove> {
        let was_shut = self.shut.replace(because.clone()).is_some();
        (!was_shut).then_some(HeatMove { step: HeatStep::Hold, because })
    }

    /// Opens it again if it has been cool for a while, and it was not opened just before.
    pub(super) fn open(&mut self, heat: &Heat, throttle: f64, at: TimeSpan) -> Option<HeatMove> {
        let is_over = |opened| seconds_between(opened, at) >= BETWEEN_OPENINGS;
        if self.shut.is_none()
            || !self.has_long_been_cool(heat, throttle, at)
            || !self.opened.is_none_or(is_over)
        {
            return None;
        }
        self.opened = Some(at);
        self.open_for(heat.because())
    }

    /// Whether it has been cool for a while, without a break.
    pub(super) fn has_long_been_cool(&mut self, heat: &Heat, throttle: f64, at: TimeSpan) -> bool {
        if !is_cool(heat, throttle) {
            self.cool_since = None;
            return false;
        }
        seconds_between(*self.cool_since.get_or_insert(at), at) >= COOL_FOR
    }

    /// Opens it, if it is shut.
    pub(super) fn open_for(&mut self, because: Because) -> Option<HeatMove> {
        self.shut.take().map(|_| HeatMove { step: HeatStep::Admit, because })
    }
}

fn is_cool(heat: &Heat, throttle: f64) -> bool {
    heat.smoothed <= throttle - COOL_BELOW
        && heat.after(LEAD).max(heat.raw) < throttle - HOLD_BELOW
        && heat.missed.is_none()
}
