//! The ladder: turns each observation of the machine into moves.

use bij_core::{Celsius, ExperimentId, Percent, TimeSpan};

use super::allocation::{self, Restraint};
use super::budget::{Budget, BudgetChange, BudgetInputs};
use super::gate::{COOL_BELOW, Gate};
use super::restraints::{RestraintPlanner, Restraints};
use super::temperature::{LEAD, TemperatureTracker, TemperatureTrend, ZoneSummary};
use super::{Because, HeatMove, HeatObservation, HeatSettings, HeatStep, Level, Living};

/// Interval of observations while it is hot: a die warms by at most a degree a second.
const HOT_INTERVAL: TimeSpan = TimeSpan::from_secs(1);
/// Degrees below the threshold from which it counts as hot.
const HOT_BELOW: f64 = 8.0;

/// Heat control; see [the module](super).
#[derive(Clone, Debug, PartialEq)]
pub struct Ladder {
    settings: HeatSettings,
    temperature: TemperatureTracker,
    /// `None` before the first observation.
    budget: Option<Budget>,
    restraints: RestraintPlanner,
    gate: Gate,
    level: Level,
    /// Set by a critical reading until it is cool, even while no zone can be read.
    is_critical: bool,
    smoothed: Option<f64>,
    is_hot: bool,
    /// Whether any of the experiments seen last can be capped.
    can_cap: bool,
}

impl Ladder {
    /// Returns a ladder without restraints in force.
    pub fn new(settings: HeatSettings) -> Self {
        Self::taking_over(settings, [])
    }

    /// Returns a ladder that takes over restraints that an earlier one has left in force; it lifts them when
    /// they are not needed, like its own.
    pub fn taking_over(
        settings: HeatSettings,
        restraints: impl IntoIterator<Item = (ExperimentId, Restraint)>,
    ) -> Self {
        Self {
            settings,
            temperature: TemperatureTracker::default(),
            budget: None,
            restraints: RestraintPlanner::inherited(restraints),
            gate: Gate::default(),
            level: Level::default(),
            is_critical: false,
            smoothed: None,
            is_hot: false,
            can_cap: true,
        }
    }

    /// Changes the settings, from the next observation on.
    pub fn set_settings(&mut self, settings: HeatSettings) {
        self.settings = settings;
    }

    /// Takes in an observation and returns the moves to carry out, in order. A move counts as done unless it is
    /// reported as [failed](Self::failed).
    pub fn observe(&mut self, seen: &HeatObservation<'_>) -> Vec<HeatMove> {
        if self.restraints.forget_ineffective_caps(seen.living)
            && let Some(budget) = &mut self.budget
        {
            budget.had_no_effect();
        }
        let order = self.restraints.update_and_sort(seen.living);
        self.restraints.observe_gpu(seen.gpu);
        let is_budget = self.budget.as_ref().is_some_and(|budget| budget.limit().is_some());
        self.restraints.measure(seen.uptime, seen.living, is_budget);
        if !order.is_empty() {
            self.can_cap = order.iter().any(|one| one.can_cap || one.can_cap_gpu);
        }
        match self.temperature.update(seen.uptime, seen.zones, self.throttle()) {
            ZoneSummary::Trend(trend) => self.observe_temperature(&trend, seen, &order),
            ZoneSummary::NoZones => self.without_zones(&order),
            ZoneSummary::Unreadable(why) => self.blind(why, &order),
        }
    }

    /// Notes that a step could not be carried out: it is returned again by the next observation if it is still
    /// needed.
    pub fn failed(&mut self, step: &HeatStep) {
        self.restraints.failed(step);
    }

    /// Returns the current level.
    pub fn level(&self) -> &Level {
        &self.level
    }

    /// Returns why heat keeps an experiment with this CPU quota ([`Living::cpu`]) and this limit of its own
    /// ([`Living::max_celsius`]) from starting; `None` if it does not.
    ///
    /// Between [`HeatStep::Hold`] and [`HeatStep::Admit`] an experiment can start only once it is cool, as the
    /// replacement of one that has ended.
    pub fn blocking_reason(&self, cpu: Percent, max_celsius: Option<Celsius>) -> Option<Because> {
        let quota = allocation::percent(cpu);
        let at_least = allocation::floor_for(quota, self.can_cap);
        if let Some(because) = self.gate.blocking_reason(quota, at_least) {
            return Some(because.clone());
        }
        let (limit, smoothed) = max_celsius.zip(self.smoothed)?;
        let is_too_hot = smoothed > limit.degrees() - COOL_BELOW;
        is_too_hot.then(|| Because::TooHotFor { limit, celsius: Celsius::from_degrees(smoothed) })
    }

    /// Returns the restraint in force for an experiment.
    pub fn restraint(&self, experiment: &ExperimentId) -> Restraint {
        self.restraints.restraint(experiment)
    }

    /// Returns whether nothing is restrained and no restraint will be needed soon.
    pub fn is_calm(&self) -> bool {
        !self.is_hot && self.level == Level::Normal
    }

    /// Returns the time until the next observation: the interval of the settings, or a second while it is hot or
    /// the temperature is unknown.
    pub fn observation_interval(&self) -> TimeSpan {
        let is_urgent = self.is_hot || !matches!(self.level, Level::Normal | Level::Hold);
        let interval = self.settings.interval();
        if is_urgent { interval.min(HOT_INTERVAL) } else { interval }
    }

    fn throttle(&self) -> f64 {
        self.settings.throttle().degrees()
    }

    fn observe_temperature(
        &mut self,
        trend: &TemperatureTrend,
        seen: &HeatObservation<'_>,
        order: &[&Living],
    ) -> Vec<HeatMove> {
        let throttle = self.throttle();
        self.smoothed = Some(trend.smoothed);
        let soon = trend.after(LEAD).max(trend.raw);
        self.is_hot = soon >= throttle - HOT_BELOW || trend.missed.is_some();
        self.is_critical = self.judge_critical(trend);
        let wanted = self.plan(trend, seen, order);
        let restrains = !wanted.is_empty();
        let mut moves: Vec<HeatMove> = self
            .gate
            .close_if_hot(trend, throttle, self.is_critical || restrains)
            .into_iter()
            .collect();
        moves.extend(self.change_to(order, wanted, &trend.because()));
        if moves.iter().any(|it| matches!(it.step, HeatStep::Stop { .. })) {
            self.gate.exclude_stopping(self.restraints.total_quota(order));
        }
        if order.is_empty() && self.gate.has_long_been_cool(trend, throttle, seen.uptime) {
            self.budget.get_or_insert_default().lift(seen.uptime);
        }
        if !self.is_critical && self.restraints.is_empty() {
            moves.extend(self.gate.open_if_cool(trend, throttle, seen.uptime));
        }
        let limit = self.budget.as_ref().and_then(Budget::limit).unwrap_or(f64::INFINITY);
        let may_replace = (!self.is_critical).then_some(trend);
        // A start is judged by its quota, and so are the experiments that it is compared with.
        let left = limit - self.restraints.demand(order);
        self.gate.update_capacity(self.restraints.total_quota(order), left, may_replace, throttle);
        self.level = self.level_now();
        moves
    }

    /// Returns whether it is critical. A single reading may be a sensor's error: it counts if the reading before
    /// was hot as well. From then on it is critical until it is cool.
    fn judge_critical(&self, trend: &TemperatureTrend) -> bool {
        let throttle = self.throttle();
        let is_sure = trend.before.is_some_and(|before| before >= throttle);
        let is_cool = trend.smoothed.max(trend.raw) <= throttle - COOL_BELOW;
        (is_sure && trend.raw >= self.settings.critical().degrees())
            || (self.is_critical && !is_cool)
    }

    /// Returns the restraints that this temperature requires.
    fn plan(
        &mut self,
        trend: &TemperatureTrend,
        seen: &HeatObservation<'_>,
        order: &[&Living],
    ) -> Restraints {
        if self.is_critical {
            return self.restraints.stop_all(order);
        }
        let throttle = self.throttle();
        let demand = self.restraints.demand(order);
        let circumstances = BudgetInputs {
            throttle,
            far_too_hot: f64::midpoint(throttle, self.settings.critical().degrees()),
            demand,
            max_use: demand.max(allocation::percent(seen.processors)),
            unsuspended_minimum: (!self.can_cap).then(|| self.restraints.floors(order)),
        };
        let restraints = &mut self.restraints;
        let budget = self.budget.get_or_insert_with(|| {
            // The restraints of an earlier ladder define its budget.
            restraints.allowance(order, seen.gpu).map_or_else(Budget::default, Budget::inherited)
        });
        let change = budget.update(seen.uptime, trend, circumstances);
        if change == BudgetChange::Cut {
            self.temperature.reset_rise();
        }
        restraints.suspend_over_own_limit(seen.uptime, order, trend);
        let wanted = restraints.plan(budget.limit(), order, seen.gpu);
        if change == BudgetChange::None {
            restraints.delay_loosening(seen.uptime, wanted)
        } else {
            wanted
        }
    }

    fn change_to(
        &mut self,
        order: &[&Living],
        wanted: Restraints,
        because: &Because,
    ) -> Vec<HeatMove> {
        let steps = self.restraints.apply(order, wanted).into_iter();
        steps.map(|step| HeatMove { step, because: because.clone() }).collect()
    }

    /// Keeps the restraints and holds starts, because the temperature is unknown.
    fn blind(&mut self, why: String, order: &[&Living]) -> Vec<HeatMove> {
        self.level = Level::Blind(why.clone());
        let because = Because::Unreadable(why);
        let hold = self.gate.close(because.clone());
        self.gate.update_capacity(f64::INFINITY, f64::INFINITY, None, 0.0);
        let wanted = if self.is_critical {
            self.restraints.stop_all(order)
        } else {
            self.restraints.unchanged()
        };
        hold.into_iter().chain(self.change_to(order, wanted, &because)).collect()
    }

    /// Lifts everything, because a machine without zones has no heat control.
    fn without_zones(&mut self, order: &[&Living]) -> Vec<HeatMove> {
        let mut moves = self.change_to(order, Restraints::default(), &Because::NoZones);
        moves.extend(self.gate.open(Because::NoZones));
        self.level = Level::Normal;
        moves
    }

    fn level_now(&self) -> Level {
        if self.is_critical {
            Level::Critical
        } else if !self.restraints.is_empty() {
            Level::Throttle
        } else if self.gate.closed_because().is_some() {
            Level::Hold
        } else {
            Level::Normal
        }
    }
}
