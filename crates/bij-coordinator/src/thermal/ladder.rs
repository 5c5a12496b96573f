//! The ladder: turns each observation of the machine into decisions.

use std::collections::BTreeMap;

use bij_core::port::{BoardReadError, ZoneReading};
use bij_core::{Celsius, ExperimentId, Percent, TimeSpan, Uptime};

use super::budget::{Budget, BudgetChange, BudgetInputs};
use super::decision::{ThermalAction, ThermalDecision, ThermalLevel, ThermalReason, ThermalStatus};
use super::gpu_clock::GpuClockReading;
use super::load::{RunningExperiments, ThermalLoad};
use super::planner::{PlanInputs, RestraintPlan, RestraintPlanner, floor_for};
use super::quantity::{CpuShare, Degrees, Temperature};
use super::restraint::{Restraint, RestraintChange};
use super::settings::ThermalSettings;
use super::start_gate::{COOL_BELOW, StartGate};
use super::temperature::{TemperatureTracker, TemperatureTrend, ZoneSummary};

/// Interval of observations while it is hot: a die warms by at most a degree a second.
const HOT_INTERVAL: TimeSpan = TimeSpan::from_secs(1);
/// Distance below the threshold from which it counts as hot.
const HOT_BELOW: Degrees = Degrees::new(8.0);

/// An observation of the machine's temperatures and experiments.
#[derive(Clone, Copy, Debug)]
pub struct ThermalObservation<'a> {
    /// Time of the observation, on a clock that never goes back.
    pub uptime: Uptime,
    /// Readings of all thermal zones.
    pub zones: &'a Result<Vec<ZoneReading>, BoardReadError>,
    /// Experiments that are up, in any order.
    pub loads: &'a [ThermalLoad],
    /// Processors of the machine; 100 % is one processor.
    pub processors: Percent,
    /// The GPU's clock; `None` if it cannot or must not be capped.
    pub gpu: Option<GpuClockReading<'a>>,
}

/// Thermal control; see [the module](super).
#[derive(Clone, Debug, PartialEq)]
pub struct Ladder {
    settings: ThermalSettings,
    temperature: TemperatureTracker,
    /// `None` before the first observation.
    budget: Option<Budget>,
    restraints: RestraintPlanner,
    gate: StartGate,
    level: ThermalLevel,
    /// Set by a critical reading until it is cool, even while no zone can be read.
    is_critical: bool,
    smoothed: Option<Temperature>,
    is_hot: bool,
    /// Whether any of the experiments seen last can be capped.
    can_cap: bool,
}

impl Ladder {
    /// Returns a ladder without restraints in force.
    pub fn new(settings: ThermalSettings) -> Self {
        Self::taking_over(settings, [])
    }

    /// Returns a ladder that takes over restraints that an earlier one has left in force; it lifts them when
    /// they are not needed, like its own.
    pub fn taking_over(
        settings: ThermalSettings,
        restraints: impl IntoIterator<Item = (ExperimentId, Restraint)>,
    ) -> Self {
        Self {
            settings,
            temperature: TemperatureTracker::default(),
            budget: None,
            restraints: RestraintPlanner::inherited(restraints),
            gate: StartGate::default(),
            level: ThermalLevel::default(),
            is_critical: false,
            smoothed: None,
            is_hot: false,
            can_cap: true,
        }
    }

    /// Changes the settings, from the next observation on.
    pub fn set_settings(&mut self, settings: ThermalSettings) {
        self.settings = settings;
    }

    /// Takes in an observation and returns the decisions to carry out, in order. A decision counts as carried out
    /// unless it is reported as [failed](Self::failed).
    pub fn observe(&mut self, seen: &ThermalObservation<'_>) -> Vec<ThermalDecision> {
        if self.restraints.forget_ineffective_caps(seen.loads)
            && let Some(budget) = &mut self.budget
        {
            budget.had_no_effect();
        }
        let is_budget = self.budget.as_ref().is_some_and(|budget| budget.limit().is_some());
        let order = self.restraints.update(seen.uptime, seen.loads, seen.gpu, is_budget);
        if !order.is_empty() {
            self.can_cap = order.iter().any(|load| load.can_cap || load.can_cap_gpu);
        }
        match self.temperature.update(seen.uptime, seen.zones, self.throttle()) {
            ZoneSummary::Trend(trend) => self.observe_temperature(&trend, seen, &order),
            ZoneSummary::NoZones => self.without_zones(&order),
            ZoneSummary::Unreadable(why) => self.blind(why, &order),
        }
    }

    fn observe_temperature(
        &mut self,
        trend: &TemperatureTrend,
        seen: &ThermalObservation<'_>,
        order: &[&ThermalLoad],
    ) -> Vec<ThermalDecision> {
        let throttle = self.throttle();
        self.smoothed = Some(trend.smoothed);
        self.is_hot = trend.soon() >= throttle - HOT_BELOW || trend.missed.is_some();
        self.is_critical = self.judge_critical(trend);
        let plan = if self.is_critical {
            self.restraints.stop_all(order)
        } else {
            self.restrain(trend, seen, order)
        };
        let needs_hold = self.is_critical || !self.restraints.is_empty();
        let hold = self.gate.close_if_hot(trend, throttle, needs_hold);
        let mut decisions: Vec<_> = hold.into_iter().chain(decide(plan, &trend.reason())).collect();
        if decisions.iter().any(is_stop) {
            self.gate.exclude_stopping(self.restraints.total_quota(order));
        }
        if order.is_empty() && self.gate.has_long_been_cool(trend, throttle, seen.uptime) {
            self.budget.get_or_insert_default().lift(seen.uptime);
        }
        if !self.is_critical && self.restraints.is_empty() {
            decisions.extend(self.gate.open_if_cool(trend, throttle, seen.uptime));
        }
        self.update_gate_capacity(trend, order);
        self.level = self.level_now();
        decisions
    }

    /// Changes the budget of processor time as this temperature requires, and returns the plan that keeps to it.
    fn restrain(
        &mut self,
        trend: &TemperatureTrend,
        seen: &ThermalObservation<'_>,
        order: &[&ThermalLoad],
    ) -> RestraintPlan {
        let throttle = self.throttle();
        let demand = self.restraints.demand(order);
        let inputs = BudgetInputs {
            throttle,
            far_too_hot: throttle.midpoint(self.settings.critical().into()),
            demand,
            max_use: demand.max(seen.processors.into()),
            unsuspended_minimum: (!self.can_cap).then(|| self.restraints.floors(order)),
        };
        let restraints = &mut self.restraints;
        let budget = self.budget.get_or_insert_with(|| {
            // The restraints of an earlier ladder define its budget.
            restraints.allowance(order, seen.gpu).map_or_else(Budget::default, Budget::inherited)
        });
        let change = budget.update(seen.uptime, trend, inputs);
        if change == BudgetChange::Cut {
            self.temperature.reset_rise();
        }
        restraints.suspend_over_own_limit(seen.uptime, order, trend);
        let (limit, may_loosen) = (budget.limit(), change != BudgetChange::None);
        restraints.plan(seen.uptime, PlanInputs { limit, may_loosen, order, gpu: seen.gpu })
    }

    /// Keeps the restraints and holds starts, because the temperature is unknown.
    fn blind(&mut self, why: String, order: &[&ThermalLoad]) -> Vec<ThermalDecision> {
        self.level = ThermalLevel::Blind(why.clone());
        let reason = ThermalReason::Unreadable(why);
        let hold = self.gate.close(reason.clone());
        self.gate.block_replacements();
        let plan = if self.is_critical {
            self.restraints.stop_all(order)
        } else {
            self.restraints.keep_all(order)
        };
        hold.into_iter().chain(decide(plan, &reason)).collect()
    }

    /// Lifts all restraints, because a machine without zones has no thermal control.
    fn without_zones(&mut self, order: &[&ThermalLoad]) -> Vec<ThermalDecision> {
        let plan = self.restraints.lift_all(order);
        self.level = ThermalLevel::Normal;
        let admit = self.gate.open(ThermalReason::NoZones);
        decide(plan, &ThermalReason::NoZones).chain(admit).collect()
    }

    /// Notes that a change could not be carried out: it is returned again by the next observation if it is still
    /// needed.
    pub fn failed(&mut self, experiment: &ExperimentId, change: RestraintChange) {
        self.restraints.failed(experiment, change);
    }

    /// Returns the current level.
    pub fn level(&self) -> &ThermalLevel {
        &self.level
    }

    /// Returns which starts are on hold, and which experiment could start instead, on a machine with these processors.
    pub fn status(&self, running: &RunningExperiments, processors: Percent) -> ThermalStatus {
        let held = self.blocking_reason(processors, None);
        let is_free = |next: &&ThermalLoad| {
            self.blocking_reason(next.cpu.min(processors), next.max_celsius).is_none()
        };
        let next = running.next.as_ref().filter(|_| held.is_some()).filter(is_free);
        let replacement = next.map(|next| next.experiment.clone());
        let own_limit = |(id, limit): (&ExperimentId, &Celsius)| {
            Some((id.clone(), self.blocking_reason(processors, Some(*limit))?))
        };
        let too_hot_for = match held {
            Some(_) => BTreeMap::new(),
            None => running.limits.iter().filter_map(own_limit).collect(),
        };
        ThermalStatus { level: self.level.clone(), held, replacement, too_hot_for }
    }

    /// Returns why heat keeps an experiment with this CPU quota ([`ThermalLoad::cpu`]) and this limit of its own
    /// ([`ThermalLoad::max_celsius`]) from starting; `None` if it does not.
    ///
    /// Between [`ThermalAction::Hold`] and [`ThermalAction::Admit`] an experiment can start only once it is cool, as
    /// the replacement of one that has ended.
    pub fn blocking_reason(
        &self,
        cpu: Percent,
        max_celsius: Option<Celsius>,
    ) -> Option<ThermalReason> {
        let quota = CpuShare::from(cpu);
        let at_least = floor_for(quota, self.can_cap);
        if let Some(reason) = self.gate.blocking_reason(quota, at_least) {
            return Some(reason.clone());
        }
        let (limit, smoothed) = max_celsius.zip(self.smoothed)?;
        let is_too_hot = smoothed > Temperature::from(limit) - COOL_BELOW;
        is_too_hot.then(|| ThermalReason::TooHotFor { limit, celsius: smoothed.celsius() })
    }

    /// Returns the restraint in force for an experiment.
    pub fn restraint(&self, experiment: &ExperimentId) -> Restraint {
        self.restraints.restraint(experiment)
    }

    /// Returns whether nothing is restrained and no restraint will be needed soon.
    pub fn is_calm(&self) -> bool {
        !self.is_hot && self.level == ThermalLevel::Normal
    }

    /// Returns the time until the next observation: the interval of the settings, or a second while it is hot or
    /// the temperature is unknown.
    pub fn observation_interval(&self) -> TimeSpan {
        let is_urgent =
            self.is_hot || !matches!(self.level, ThermalLevel::Normal | ThermalLevel::Hold);
        let interval = self.settings.interval();
        if is_urgent { interval.min(HOT_INTERVAL) } else { interval }
    }

    fn throttle(&self) -> Temperature {
        self.settings.throttle().into()
    }

    /// Returns whether it is critical. A single reading may be a sensor's error: it counts if the reading before
    /// was hot as well. From then on it is critical until it is cool.
    fn judge_critical(&self, trend: &TemperatureTrend) -> bool {
        let throttle = self.throttle();
        let is_sure = trend.before.is_some_and(|before| before >= throttle);
        let is_cool = trend.smoothed.max(trend.raw) <= throttle - COOL_BELOW;
        (is_sure && trend.raw >= self.settings.critical().into()) || (self.is_critical && !is_cool)
    }

    fn update_gate_capacity(&mut self, trend: &TemperatureTrend, order: &[&ThermalLoad]) {
        let limit = self.budget.as_ref().and_then(Budget::limit).unwrap_or(CpuShare::UNLIMITED);
        // A start is judged by its quota, and so are the experiments that it is compared with.
        let left = limit - self.restraints.demand(order);
        let total_quota = self.restraints.total_quota(order);
        self.gate.update_capacity(total_quota, left, trend, self.throttle());
        if self.is_critical {
            self.gate.block_replacements();
        }
    }

    fn level_now(&self) -> ThermalLevel {
        if self.is_critical {
            ThermalLevel::Critical
        } else if !self.restraints.is_empty() {
            ThermalLevel::Throttle
        } else if self.gate.closed_because().is_some() {
            ThermalLevel::Hold
        } else {
            ThermalLevel::Normal
        }
    }
}

fn decide(plan: RestraintPlan, reason: &ThermalReason) -> impl Iterator<Item = ThermalDecision> {
    plan.into_actions().map(|action| ThermalDecision { action, reason: reason.clone() })
}

fn is_stop(decision: &ThermalDecision) -> bool {
    matches!(decision.action, ThermalAction::Restrain { change: RestraintChange::Stop(_), .. })
}
