//! How much processor time all experiments may take together so that the throttle temperature holds.
//!
//! Heat follows load with a lag of seconds (the die) and of many minutes (the heat sink), by factors
//! that differ with board, fan and weather. So the budget is found, not calculated: it is cut as soon
//! as readings or their slope say that the threshold will be passed, by more the further it would be;
//! and raised a little when the highest temperature of a long while has stayed clearly below. In
//! between lies a dead band, in which nothing is done: a steady load ends there and stays.
//!
//! A raise that was too much is taken back at the next cut, to what has held before, and makes the next
//! raise wait twice as long. So a load that comes and goes ends at the budget of its peaks, instead of
//! having the ladder go up and down with it.

use bij_core::TimeSpan;

use super::sense::{Heat, LEAD, seconds_between};

/// A peak that stays so far below the threshold allows a raise.
const DEAD_BAND: f64 = 0.9;
/// Cuts and raises aim so far below the threshold, into the dead band.
const GOAL_BELOW: f64 = 0.5;
/// Heat above the surroundings is proportional to load. They are taken for warmer than they are where
/// it is cut, which cuts more, and for cooler where it is raised, which raises less.
const WARM_AROUND: f64 = 35.0;
const COOL_AROUND: f64 = 15.0;
/// How far a cut looks ahead along the slope, in seconds: the heat sink goes on warming after it.
const CUT_LEAD: f64 = 90.0;
/// A cut takes at least and at most so much: less has no effect that could be told from noise, more
/// would be on the strength of a slope alone.
const CUTS: (f64, f64) = (0.5, 0.98);
/// The same for a raise.
const RAISES: (f64, f64) = (1.01, 1.5);
/// After a cut its effect is awaited for so many seconds, and where it is far too hot for these.
const SETTLING: f64 = 30.0;
const SETTLING_IN_HASTE: f64 = 5.0;
/// How long it must have been cool enough before a raise, in seconds: first, and at last. At least
/// the lag of a heat sink without a fan.
const PATIENCE: (f64, f64) = (600.0, 3600.0);
/// The same where nothing can be capped: who is frozen does no work at all, so freezing and thawing by
/// turns is the best that can be done.
const NO_PATIENCE: f64 = 240.0;
/// So far below the threshold the budget is plainly too small, and patience no virtue.
const PLAINLY_COOL: f64 = 10.0;
/// So far below nothing is asked for that a budget would be needed for.
const IDLE: f64 = 15.0;
/// A budget has proven itself when it held though it came so near to the threshold; otherwise little
/// was asked for.
const TRYING: f64 = 4.0;
/// A budget that held is gone back to, unless it is less than this share: then times have changed.
const STALE: f64 = 0.15;

/// The budget, and how it was found. Processor time is in percent of one processor.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Budget {
    limit: Option<f64>,
    /// What has held.
    proven: Option<f64>,
    changed: Option<TimeSpan>,
    /// Whether the last change was a raise that has not held yet.
    on_trial: bool,
    /// How often it has been cut in a row without getting cooler, and from what temperature on.
    in_vain: i32,
    cut_at: f64,
    peak: Peak,
    patience: f64,
}

/// The highest smoothed temperature of late: of this half of the time that patience takes, and of the
/// half before.
#[derive(Clone, Debug, PartialEq)]
struct Peak {
    now: f64,
    before: f64,
    since: TimeSpan,
}

impl Peak {
    const NONE: Self =
        Self { now: f64::NEG_INFINITY, before: f64::NEG_INFINITY, since: TimeSpan::from_micros(0) };

    fn look(&mut self, at: TimeSpan, smoothed: f64, half: f64) {
        if seconds_between(self.since, at) >= half {
            *self = Self { now: smoothed, before: self.now, since: at };
        }
        self.now = self.now.max(smoothed);
    }

    fn get(&self) -> f64 {
        self.now.max(self.before)
    }
}

/// What a budget is found by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances {
    /// The threshold, in degrees.
    pub(super) throttle: f64,
    /// From here on it is far too hot, in degrees.
    pub(super) far_too_hot: f64,
    /// What all that live would take without a budget.
    pub(super) demand: f64,
    /// What could be taken at most: all processors, or what all that live say they take.
    pub(super) most: f64,
    /// Where nobody can be capped, the budget that is just enough for nobody to be put aside.
    pub(super) all_or_one_less: Option<f64>,
}

/// What became of the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
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
            in_vain: 0,
            cut_at: f64::INFINITY,
            peak: Peak::NONE,
            patience: PATIENCE.0,
        }
    }
}

impl Budget {
    /// The budget that somebody else left in force.
    pub(super) fn of(limit: f64) -> Self {
        Self { limit: Some(limit), proven: Some(limit), ..Self::default() }
    }

    /// What all may take together; `None` is no bound.
    pub(super) fn limit(&self) -> Option<f64> {
        self.limit
    }

    /// Lifts it, for that nobody is left whom it would hold back. What has held is remembered.
    pub(super) fn lift(&mut self, at: TimeSpan) {
        if self.limit.is_some() {
            self.cut_at = f64::INFINITY;
            self.change(at, None, true);
        }
    }

    /// What was done last had no effect, so none is awaited.
    pub(super) fn had_no_effect(&mut self) {
        self.cut_at = f64::INFINITY;
    }

    /// Changes it if this heat asks for it.
    pub(super) fn look(&mut self, at: TimeSpan, heat: &Heat, by: Circumstances) -> Change {
        self.peak.look(at, heat.smoothed, self.patience(by) / 2.0);
        let elapsed = seconds_between(*self.changed.get_or_insert(at), at);
        let in_haste = heat.raw.max(heat.smoothed) >= by.far_too_hot;
        let settling = if in_haste { SETTLING_IN_HASTE } else { SETTLING };
        let awaits = self.cut_at.is_finite() && elapsed < settling;
        if heat.after(LEAD) >= by.throttle && by.demand > 0.0 && !awaits {
            self.cut(at, heat, by, in_haste);
            return Change::Cut;
        }
        let Some(limit) = self.limit else { return Change::None };
        if self.peak.get() > by.throttle - DEAD_BAND || elapsed < self.patience(by) {
            return Change::None;
        }
        self.raise(at, limit, by);
        Change::Raised
    }

    fn cut(&mut self, at: TimeSpan, heat: &Heat, by: Circumstances, in_haste: bool) {
        let from = self.limit.map_or(by.demand, |limit| limit.min(by.demand));
        self.in_vain = if heat.smoothed >= self.cut_at { (self.in_vain + 1).min(8) } else { 1 };
        let goal = by.throttle - GOAL_BELOW - WARM_AROUND;
        let ahead = (heat.after(CUT_LEAD) - WARM_AROUND).max(f64::MIN_POSITIVE);
        let share = if in_haste { CUTS.0 } else { (goal / ahead).powi(self.in_vain) };
        let mut to = from * share.clamp(CUTS.0, CUTS.1);
        if let Some(proven) = self.proven.filter(|proven| !in_haste && *proven < from)
            && proven >= from * STALE
        {
            to = proven;
        }
        if let Some(enough) = by.all_or_one_less {
            // Anything more would hold nobody back.
            to = to.min(enough * CUTS.1);
        }
        let tried = self.changed.map_or(0.0, |changed| seconds_between(changed, at));
        if self.on_trial && tried < 2.0 * self.patience {
            self.patience = (self.patience * 2.0).min(PATIENCE.1);
        }
        self.cut_at = heat.smoothed;
        self.proven = Some(to);
        self.change(at, Some(to), false);
    }

    fn raise(&mut self, at: TimeSpan, limit: f64, by: Circumstances) {
        let goal = by.throttle - GOAL_BELOW - COOL_AROUND;
        let peak = self.peak.get();
        let share = goal / (peak - COOL_AROUND).max(f64::MIN_POSITIVE);
        let mut to = limit * share.clamp(RAISES.0, RAISES.1);
        if peak <= by.throttle - PLAINLY_COOL {
            // From next to nothing no factor would lead back.
            to = to.max(limit + by.most / 4.0);
        }
        if peak >= by.throttle - TRYING || self.proven.is_none_or(|proven| proven > limit) {
            self.proven = Some(limit);
        }
        // Next to nothing is asked for: no use in finding a budget for it step by step.
        let is_of_use = peak > by.throttle - IDLE && to < by.most;
        self.cut_at = f64::INFINITY;
        self.change(at, Some(to).filter(|_| is_of_use), true);
    }

    fn change(&mut self, at: TimeSpan, limit: Option<f64>, on_trial: bool) {
        self.limit = limit;
        self.changed = Some(at);
        self.on_trial = on_trial;
        self.peak = Peak { since: at, ..Peak::NONE };
    }

    /// How long it must have been cool enough before a raise, in seconds.
    fn patience(&self, by: Circumstances) -> f64 {
        if by.all_or_one_less.is_some() {
            NO_PATIENCE
        } else if self.peak.get() <= by.throttle - PLAINLY_COOL {
            self.patience.min(2.0 * PATIENCE.0)
        } else {
            self.patience
        }
    }
}
