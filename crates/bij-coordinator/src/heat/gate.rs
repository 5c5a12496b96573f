//! Whether anything may be started.

use bij_core::TimeSpan;

use super::sense::{Heat, LEAD, seconds_between};
use super::{Because, HeatMove, HeatStep};

/// Nothing is started from so far below the threshold on, in degrees: a start heats at once, and what
/// runs has to be held back for it.
const HOLD_BELOW: f64 = 3.0;
/// It is cool again so far below a threshold.
pub(super) const COOL_BELOW: f64 = 6.0;
/// While anything runs, the gate opens no sooner than so many seconds after the last time: so that a
/// load that comes and goes does not have it go up and down.
const BETWEEN_OPENINGS: f64 = 1200.0;

/// The gate before all starts.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Gate {
    shut: Option<Because>,
    opened: Option<TimeSpan>,
}

impl Gate {
    /// Why it is shut, if it is.
    pub(super) fn why_shut(&self) -> Option<&Because> {
        self.shut.as_ref()
    }

    /// Shuts it if it is hot, or if there is another reason.
    pub(super) fn shut(&mut self, heat: &Heat, throttle: f64, other: bool) -> Option<HeatMove> {
        if let Some(missed) = &heat.missed {
            return self.shut_for(Because::Lost(missed.clone()));
        }
        let is_hot = heat.after(LEAD).max(heat.raw) >= throttle - HOLD_BELOW;
        if is_hot || other { self.shut_for(heat.because()) } else { None }
    }

    /// Shuts it. Why it is shut is told anew at each look, but shut it is once.
    pub(super) fn shut_for(&mut self, because: Because) -> Option<HeatMove> {
        let was_shut = self.shut.replace(because.clone()).is_some();
        (!was_shut).then_some(HeatMove { step: HeatStep::Hold, because })
    }

    /// Opens it again if it is cool and was not opened just before; when nothing lives, at once.
    pub(super) fn open(
        &mut self,
        heat: &Heat,
        throttle: f64,
        at: TimeSpan,
        nothing_lives: bool,
    ) -> Option<HeatMove> {
        let is_cool = heat.smoothed <= throttle - COOL_BELOW
            && heat.after(LEAD).max(heat.raw) < throttle - HOLD_BELOW
            && heat.missed.is_none();
        let is_time = nothing_lives
            || self.opened.is_none_or(|opened| seconds_between(opened, at) >= BETWEEN_OPENINGS);
        if self.shut.is_none() || !is_cool || !is_time {
            return None;
        }
        self.opened = Some(at);
        self.open_for(heat.because())
    }

    /// Opens it, if it is shut.
    pub(super) fn open_for(&mut self, because: Because) -> Option<HeatMove> {
        self.shut.take().map(|_| HeatMove { step: HeatStep::Admit, because })
    }
}
