//! Gate of thermal control: holds new starts.

use bij_core::{TimeSpan, Uptime};

use super::decision::{ThermalAction, ThermalDecision, ThermalReason};
use super::quantity::{CpuShare, Degrees, Temperature};
use super::temperature::TemperatureTrend;

/// Distance below the threshold from which starts are on hold: a start heats the board at once, and running
/// experiments would be restrained for it.
const HOLD_BELOW: Degrees = Degrees::new(3.0);
/// Distance below a threshold at which it is cool again.
pub(super) const COOL_BELOW: Degrees = Degrees::new(6.0);
/// Time for which it must be cool before the gate opens. With [`MIN_BETWEEN_OPENINGS`] it keeps a periodic
/// load from opening and closing the gate; an experiment that ends may be replaced earlier.
const COOL_FOR: TimeSpan = TimeSpan::from_secs(300);
/// Shortest time between two openings.
const MIN_BETWEEN_OPENINGS: TimeSpan = TimeSpan::from_secs(1800);

/// Gate of all starts.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct StartGate {
    closed: Option<ThermalReason>,
    opened_at: Option<Uptime>,
    cool_since: Option<Uptime>,
    /// Sum of the CPU quotas of all experiments when the gate closed.
    ceiling: CpuShare,
    /// CPU quota that may start although the gate is closed; `None` if nothing may.
    replacement_quota: Option<CpuShare>,
    /// Budget that no experiment uses.
    budget_left: CpuShare,
}

impl StartGate {
    /// Returns why the gate is closed, if it is.
    pub(super) fn closed_because(&self) -> Option<&ThermalReason> {
        self.closed.as_ref()
    }

    /// Returns why an experiment cannot pass that has this CPU quota and needs `at_least` of the budget; `None`
    /// if it can. An experiment that ended while the gate was closed may be replaced as soon as it is cool,
    /// because that adds no load.
    pub(super) fn blocking_reason(
        &self,
        quota: CpuShare,
        at_least: CpuShare,
    ) -> Option<&ThermalReason> {
        let fits = self.replacement_quota.is_some_and(|replacement| quota <= replacement)
            && at_least <= self.budget_left;
        self.closed.as_ref().filter(|_| !fits)
    }

    /// Takes in the sum of the CPU quotas, the unused budget, and the temperature.
    pub(super) fn update_capacity(
        &mut self,
        total_quota: CpuShare,
        budget_left: CpuShare,
        trend: &TemperatureTrend,
        throttle: Temperature,
    ) {
        if self.closed.is_none() {
            self.ceiling = total_quota;
        }
        self.replacement_quota = is_cool(trend, throttle).then(|| self.ceiling - total_quota);
        self.budget_left = budget_left;
    }

    /// Lets no replacement start, because the temperature is critical or unknown.
    pub(super) fn block_replacements(&mut self) {
        self.replacement_quota = None;
    }

    /// Excludes experiments that were told to stop from replacement; `total_quota` is the sum of the others.
    pub(super) fn exclude_stopping(&mut self, total_quota: CpuShare) {
        self.ceiling = self.ceiling.min(total_quota);
    }

    /// Closes the gate if it is hot, or if there is another reason.
    pub(super) fn close_if_hot(
        &mut self,
        trend: &TemperatureTrend,
        throttle: Temperature,
        other: bool,
    ) -> Option<ThermalDecision> {
        if let Some(missed) = &trend.missed {
            return self.close(ThermalReason::Unreadable(missed.clone()));
        }
        let is_hot = trend.soon() >= throttle - HOLD_BELOW;
        if is_hot || other { self.close(trend.reason()) } else { None }
    }

    /// Closes the gate or updates the reason; only closing gives a decision.
    pub(super) fn close(&mut self, reason: ThermalReason) -> Option<ThermalDecision> {
        let was_closed = self.closed.replace(reason.clone()).is_some();
        (!was_closed).then_some(ThermalDecision { action: ThermalAction::Hold, reason })
    }

    /// Opens the gate if it has been cool for long enough, and if it was not opened recently.
    pub(super) fn open_if_cool(
        &mut self,
        trend: &TemperatureTrend,
        throttle: Temperature,
        at: Uptime,
    ) -> Option<ThermalDecision> {
        let is_over = |opened| at - opened >= MIN_BETWEEN_OPENINGS;
        if self.closed.is_none()
            || !self.has_long_been_cool(trend, throttle, at)
            || !self.opened_at.is_none_or(is_over)
        {
            return None;
        }
        self.opened_at = Some(at);
        self.open(trend.reason())
    }

    /// Returns whether it has been cool for long enough without interruption.
    pub(super) fn has_long_been_cool(
        &mut self,
        trend: &TemperatureTrend,
        throttle: Temperature,
        at: Uptime,
    ) -> bool {
        if !is_cool(trend, throttle) {
            self.cool_since = None;
            return false;
        }
        at - *self.cool_since.get_or_insert(at) >= COOL_FOR
    }

    /// Opens the gate, if it is closed.
    pub(super) fn open(&mut self, reason: ThermalReason) -> Option<ThermalDecision> {
        self.closed.take().map(|_| ThermalDecision { action: ThermalAction::Admit, reason })
    }
}

fn is_cool(trend: &TemperatureTrend, throttle: Temperature) -> bool {
    trend.smoothed <= throttle - COOL_BELOW
        && trend.soon() < throttle - HOLD_BELOW
        && trend.missed.is_none()
}
