//! Finds how much processor time all experiments may use together so that the throttle temperature holds.
//!
//! Temperature follows load with a lag of seconds (the die) and of many minutes (the heat sink), by factors
//! that differ with board, fan and weather. So the budget is found, not calculated. It is cut as soon as the
//! temperature or its slope predict that the threshold will be passed, by more the further it would be
//! passed. It is raised a little when the peak temperature has stayed clearly below for long. In between is
//! a dead band without changes, in which a steady load ends.
//!
//! A raise that was too large is undone by the next cut, down to the last budget that held, and doubles the
//! wait before the next raise. So a periodic load ends at the budget of its peaks, and the ladder does not
//! oscillate with it.

use bij_core::Uptime;

use super::temperature::{LEAD, TemperatureTrend, seconds_between};

/// Degrees below the threshold that allow a raise if the peak stays there.
const DEAD_BAND: f64 = 0.9;
/// Degrees below the threshold at which cuts and raises aim, inside the dead band.
const GOAL_BELOW: f64 = 0.5;
/// Assumed ambient temperatures: the rise above ambient is proportional to the load. A cut assumes a warm
/// room, which cuts more, and a raise a cool one, which raises less.
const WARM_AMBIENT: f64 = 35.0;
const COOL_AMBIENT: f64 = 15.0;
/// How far a cut extrapolates the slope, in seconds: the heat sink continues to warm up after it.
const CUT_LEAD: f64 = 90.0;
/// Bounds on the factor of a cut: a smaller cut would be lost in noise, and a larger one would rest on a slope
/// alone.
const CUTS: (f64, f64) = (0.5, 0.98);
/// Bounds on the factor of a raise.
const RAISES: (f64, f64) = (1.01, 1.5);
/// Seconds after a cut before the next one, and the same while it is far too hot.
const SETTLING: f64 = 30.0;
const SETTLING_IN_HASTE: f64 = 5.0;
/// Seconds for which it must have been cool enough before a raise: at first, and at most. Not shorter than the
/// lag of a heat sink without a fan.
const RAISE_WAIT: (f64, f64) = (600.0, 3600.0);
/// The same if no experiment can be capped: a frozen experiment does no work, so alternating between freezing
/// and thawing is the best that can be done.
const UNCAPPED_RAISE_WAIT: f64 = 240.0;
/// Degrees below the threshold at which the budget is clearly too small, so that a shorter wait is enough.
const PLAINLY_COOL: f64 = 10.0;
/// Degrees below the threshold at which the load needs no budget.
const IDLE: f64 = 15.0;
/// Degrees below the threshold within which a budget counts as proven if it held; otherwise the load was too
/// small to tell.
const TRYING: f64 = 4.0;
/// Share of the current budget below which a proven budget is outdated.
const STALE: f64 = 0.15;

/// The budget and its history. Processor time is in percent of one processor.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Budget {
    limit: Option<f64>,
    /// Last budget that held.
    proven: Option<f64>,
    changed: Option<Uptime>,
    /// Whether the last change was a raise that has not been proven yet.
    on_trial: bool,
    /// Number of cuts in a row without effect, and the temperature at the last cut.
    failed_cuts: i32,
    cut_at: f64,
    peak: Peak,
    raise_wait: f64,
}

/// Peak of the smoothed temperature in the current half of the raise wait, and in the half before.
#[derive(Clone, Debug, PartialEq)]
struct Peak {
    now: f64,
    before: f64,
    since: Uptime,
}

impl Peak {
    const NONE: Self =
        Self { now: f64::NEG_INFINITY, before: f64::NEG_INFINITY, since: Uptime::BOOT };

    fn update(&mut self, at: Uptime, smoothed: f64, half: f64) {
        if seconds_between(self.since, at) >= half {
            *self = Self { now: smoothed, before: self.now, since: at };
        }
        self.now = self.now.max(smoothed);
    }

    fn get(&self) -> f64 {
        self.now.max(self.before)
    }
}

/// Inputs of a change of the budget.
#[derive(Clone, Copy, Debug)]
pub(super) struct BudgetInputs {
    /// Throttle temperature, in degrees.
    pub(super) throttle: f64,
    /// Temperature from which it is far too hot, in degrees.
    pub(super) far_too_hot: f64,
    /// Sum of the demands of all experiments without a budget.
    pub(super) demand: f64,
    /// Largest possible use: all processors, or the sum of the demands if that is more.
    pub(super) max_use: f64,
    /// If no experiment can be capped, the smallest budget under which none is suspended.
    pub(super) unsuspended_minimum: Option<f64>,
}

/// Change of the budget by an observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BudgetChange {
    None,
    Cut,
    Raised,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            limit: None,
            proven: None,
            changed: None,
            on_trial: false,
            failed_cuts: 0,
            cut_at: f64::INFINITY,
            peak: Peak::NONE,
            raise_wait: RAISE_WAIT.0,
        }
    }
}

impl Budget {
    /// Returns the budget that an earlier ladder has left in force.
    pub(super) fn inherited(limit: f64) -> Self {
        Self { limit: Some(limit), proven: Some(limit), ..Self::default() }
    }

    /// Returns the processor time that all may use together; `None` is unlimited.
    pub(super) fn limit(&self) -> Option<f64> {
        self.limit
    }

    /// Lifts the budget, because no experiment is left; the proven budget is kept.
    pub(super) fn lift(&mut self, at: Uptime) {
        if self.limit.is_some() {
            self.cut_at = f64::INFINITY;
            self.change(at, None, true);
        }
    }

    /// Notes that the last cut had no effect, so that none is awaited.
    pub(super) fn had_no_effect(&mut self) {
        self.cut_at = f64::INFINITY;
    }

    /// Changes the budget if the temperature requires it.
    pub(super) fn update(
        &mut self,
        at: Uptime,
        trend: &TemperatureTrend,
        by: BudgetInputs,
    ) -> BudgetChange {
        self.peak.update(at, trend.smoothed, self.raise_wait(by) / 2.0);
        let elapsed = seconds_between(*self.changed.get_or_insert(at), at);
        let in_haste = trend.raw.max(trend.smoothed) >= by.far_too_hot;
        let settling = if in_haste { SETTLING_IN_HASTE } else { SETTLING };
        let is_settling = self.cut_at.is_finite() && elapsed < settling;
        if trend.after(LEAD) >= by.throttle && by.demand > 0.0 && !is_settling {
            self.cut(at, trend, by, in_haste);
            return BudgetChange::Cut;
        }
        let Some(limit) = self.limit else { return BudgetChange::None };
        if self.peak.get() > by.throttle - DEAD_BAND || elapsed < self.raise_wait(by) {
            return BudgetChange::None;
        }
        self.raise(at, limit, by);
        BudgetChange::Raised
    }

    fn cut(&mut self, at: Uptime, trend: &TemperatureTrend, by: BudgetInputs, in_haste: bool) {
        let from = self.limit.map_or(by.demand, |limit| limit.min(by.demand));
        self.failed_cuts =
            if trend.smoothed >= self.cut_at { (self.failed_cuts + 1).min(8) } else { 1 };
        let goal = by.throttle - GOAL_BELOW - WARM_AMBIENT;
        let ahead = (trend.after(CUT_LEAD) - WARM_AMBIENT).max(f64::MIN_POSITIVE);
        let share = if in_haste { CUTS.0 } else { (goal / ahead).powi(self.failed_cuts) };
        let mut to = from * share.clamp(CUTS.0, CUTS.1);
        if let Some(proven) = self.proven.filter(|proven| !in_haste && *proven < from)
            && proven >= from * STALE
        {
            to = proven;
        }
        if let Some(enough) = by.unsuspended_minimum {
            // A larger budget would suspend no experiment.
            to = to.min(enough * CUTS.1);
        }
        let tried = self.changed.map_or(0.0, |changed| seconds_between(changed, at));
        if self.on_trial && tried < 2.0 * self.raise_wait {
            self.raise_wait = (self.raise_wait * 2.0).min(RAISE_WAIT.1);
        }
        self.cut_at = trend.smoothed;
        self.proven = Some(to);
        self.change(at, Some(to), false);
    }

    fn raise(&mut self, at: Uptime, limit: f64, by: BudgetInputs) {
        let goal = by.throttle - GOAL_BELOW - COOL_AMBIENT;
        let peak = self.peak.get();
        let share = goal / (peak - COOL_AMBIENT).max(f64::MIN_POSITIVE);
        let mut to = limit * share.clamp(RAISES.0, RAISES.1);
        if peak <= by.throttle - PLAINLY_COOL {
            // From a budget near zero no factor would lead back.
            to = to.max(limit + by.max_use / 4.0);
        }
        if peak >= by.throttle - TRYING || self.proven.is_none_or(|proven| proven > limit) {
            self.proven = Some(limit);
        }
        // The load is small: there is no use in finding a budget for it step by step.
        let is_of_use = peak > by.throttle - IDLE && to < by.max_use;
        self.cut_at = f64::INFINITY;
        self.change(at, Some(to).filter(|_| is_of_use), true);
    }

    fn change(&mut self, at: Uptime, limit: Option<f64>, on_trial: bool) {
        self.limit = limit;
        self.changed = Some(at);
        self.on_trial = on_trial;
        self.peak = Peak { since: at, ..Peak::NONE };
    }

    /// Returns how long it must have been cool enough before a raise, in seconds.
    fn raise_wait(&self, by: BudgetInputs) -> f64 {
        if by.unsuspended_minimum.is_some() {
            UNCAPPED_RAISE_WAIT
        } else if self.peak.get() <= by.throttle - PLAINLY_COOL {
            self.raise_wait.min(2.0 * RAISE_WAIT.0)
        } else {
            self.raise_wait
        }
    }
}
