//! Gate of heat control: holds new starts.

use bij_core::Uptime;

use super::temperature::{LEAD, TemperatureTrend, seconds_between};
use super::{Because, HeatMove, HeatStep};

/// Degrees below the threshold from which starts are on hold: a start heats the board at once, and running
/// experiments would be restrained for it.
const HOLD_BELOW: f64 = 3.0;
/// Degrees below a threshold at which it is cool again.
pub(super) const COOL_BELOW: f64 = 6.0;
/// Seconds for which it must be cool before the gate opens. With [`MIN_BETWEEN_OPENINGS`] it keeps a periodic
/// load from opening and closing the gate; an experiment that ends may be replaced earlier.
const COOL_FOR: f64 = 300.0;
/// Shortest time between two openings, in seconds.
const MIN_BETWEEN_OPENINGS: f64 = 1800.0;

/// Gate of all starts.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Gate {
    closed: Option<Because>,
    opened_at: Option<Uptime>,
    cool_since: Option<Uptime>,
    /// Sum of the CPU quotas of all experiments when the gate closed.
    ceiling: f64,
    /// CPU quota that may start although the gate is closed.
    replacement_quota: f64,
    /// Budget that no experiment uses.
    budget_left: f64,
}

impl Gate {
    /// Returns why the gate is closed, if it is.
    pub(super) fn closed_because(&self) -> Option<&Because> {
        self.closed.as_ref()
    }

    /// Returns why an experiment cannot pass that has this CPU quota and needs `at_least` of the budget; `None`
    /// if it can. An experiment that ended while the gate was closed may be replaced as soon as it is cool,
    /// because that adds no load.
    pub(super) fn blocking_reason(&self, quota: f64, at_least: f64) -> Option<&Because> {
        let fits = quota <= self.replacement_quota && at_least <= self.budget_left;
        self.closed.as_ref().filter(|_| !fits)
    }

    /// Takes in the sum of the CPU quotas, the unused budget, and the temperature; without a temperature no
    /// replacement may start.
    pub(super) fn update_capacity(
        &mut self,
        total_quota: f64,
        budget_left: f64,
        trend: Option<&TemperatureTrend>,
        throttle: f64,
    ) {
        if self.closed.is_none() {
            self.ceiling = total_quota;
        }
        let is_cool = trend.is_some_and(|trend| is_cool(trend, throttle));
        self.replacement_quota =
            if is_cool { self.ceiling - total_quota } else { f64::NEG_INFINITY };
        self.budget_left = budget_left;
    }

    /// Excludes experiments that were told to stop from replacement; `total_quota` is the sum of the others.
    pub(super) fn exclude_stopping(&mut self, total_quota: f64) {
        self.ceiling = self.ceiling.min(total_quota);
    }

    /// Closes the gate if it is hot, or if there is another reason.
    pub(super) fn close_if_hot(
        &mut self,
        trend: &TemperatureTrend,
        throttle: f64,
        other: bool,
    ) -> Option<HeatMove> {
        if let Some(missed) = &trend.missed {
            return self.close(Because::Unreadable(missed.clone()));
        }
        let is_hot = trend.after(LEAD).max(trend.raw) >= throttle - HOLD_BELOW;
        if is_hot || other { self.close(trend.because()) } else { None }
    }

    /// Closes the gate or updates the reason; only closing gives a move.
    pub(super) fn close(&mut self, because: Because) -> Option<HeatMove> {
        let was_closed = self.closed.replace(because.clone()).is_some();
        (!was_closed).then_some(HeatMove { step: HeatStep::Hold, because })
    }

    /// Opens the gate if it has been cool for long enough, and if it was not opened recently.
    pub(super) fn open_if_cool(
        &mut self,
        trend: &TemperatureTrend,
        throttle: f64,
        at: Uptime,
    ) -> Option<HeatMove> {
        let is_over = |opened| seconds_between(opened, at) >= MIN_BETWEEN_OPENINGS;
        if self.closed.is_none()
            || !self.has_long_been_cool(trend, throttle, at)
            || !self.opened_at.is_none_or(is_over)
        {
            return None;
        }
        self.opened_at = Some(at);
        self.open(trend.because())
    }

    /// Returns whether it has been cool for long enough without interruption.
    pub(super) fn has_long_been_cool(
        &mut self,
        trend: &TemperatureTrend,
        throttle: f64,
        at: Uptime,
    ) -> bool {
        if !is_cool(trend, throttle) {
            self.cool_since = None;
            return false;
        }
        seconds_between(*self.cool_since.get_or_insert(at), at) >= COOL_FOR
    }

    /// Opens the gate, if it is closed.
    pub(super) fn open(&mut self, because: Because) -> Option<HeatMove> {
        self.closed.take().map(|_| HeatMove { step: HeatStep::Admit, because })
    }
}

fn is_cool(trend: &TemperatureTrend, throttle: f64) -> bool {
    trend.smoothed <= throttle - COOL_BELOW
        && trend.after(LEAD).max(trend.raw) < throttle - HOLD_BELOW
        && trend.missed.is_none()
}
