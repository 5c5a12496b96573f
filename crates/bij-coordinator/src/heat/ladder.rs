//! The ladder itself: what one look at the machine changes.

use bij_core::{Celsius, ExperimentId, Percent, TimeSpan};

use super::budget::{Budget, Change, Circumstances};
use super::gate::{COOL_BELOW, Gate};
use super::reins::{Reins, Wanted};
use super::sense::{Heat, LEAD, Sense, Sight};
use super::spread::{self, Restraint};
use super::{Because, HeatMove, HeatObservation, HeatSettings, HeatStep, Level, Living};

/// How often it is looked while it is hot: a die warms by a degree a second at worst.
const QUICK: TimeSpan = TimeSpan::from_secs(1);
/// It is hot from so far below the threshold on.
const HOT_BELOW: f64 = 8.0;

/// The heat ladder; see [the module](super).
#[derive(Clone, Debug, PartialEq)]
pub struct Ladder {
    settings: HeatSettings,
    sense: Sense,
    /// `None` before the first look.
    budget: Option<Budget>,
    reins: Reins,
    gate: Gate,
    level: Level,
    /// From a critical reading on until it is cool, with or without sight.
    critical: bool,
    smoothed: Option<f64>,
    is_hot: bool,
    /// Whether those that were seen last could be capped.
    can_cap: bool,
}

impl Ladder {
    /// A ladder that has done nothing yet.
    pub fn new(settings: HeatSettings) -> Self {
        Self::taking_over(settings, [])
    }

    /// A ladder that finds this in force, left by one before it: what is not needed is lifted as if it
    /// were its own.
    pub fn taking_over(
        settings: HeatSettings,
        in_force: impl IntoIterator<Item = (ExperimentId, Restraint)>,
    ) -> Self {
        Self {
            settings,
            sense: Sense::default(),
            budget: None,
            reins: Reins::left(in_force),
            gate: Gate::default(),
            level: Level::default(),
            critical: false,
            smoothed: None,
            is_hot: false,
            can_cap: true,
        }
    }

    /// Goes by other settings from the next look on.
    pub fn set(&mut self, settings: HeatSettings) {
        self.settings = settings;
    }

    /// Takes in one look at the machine and says what is to be done, in the order in which it is to be
    /// done. What is said counts as done unless it [failed](Self::failed).
    pub fn look(&mut self, seen: &HeatObservation<'_>) -> Vec<HeatMove> {
        if self.reins.forget_vain_caps(seen.living)
            && let Some(budget) = &mut self.budget
        {
            budget.had_no_effect();
        }
        let order = self.reins.take_up(seen.living);
        self.reins.see_gpu(seen.gpu);
        let is_budget = self.budget.as_ref().is_some_and(|budget| budget.limit().is_some());
        self.reins.measure(seen.uptime, seen.living, is_budget);
        if !order.is_empty() {
            self.can_cap = order.iter().any(|one| one.can_cap || one.can_cap_gpu);
        }
        match self.sense.look(seen.uptime, seen.zones, self.throttle()) {
            Sight::Heat(heat) => self.look_at(&heat, seen, &order),
            Sight::NoZones => self.without_zones(&order),
            Sight::Blind(why) => self.blind(why, &order),
        }
    }

    /// A step that was said could not be done: it is said again at the next look, if it is still
    /// wanted by then.
    pub fn failed(&mut self, step: &HeatStep) {
        self.reins.failed(step);
    }

    /// How high it stands.
    pub fn level(&self) -> &Level {
        &self.level
    }

    /// Why an experiment that takes so much processor time ([`Living::cpu`]) and has such a limit of its
    /// own ([`Living::max_celsius`]) cannot be started now; `None` where heat does not keep it.
    ///
    /// Between [`HeatStep::Hold`] and [`HeatStep::Admit`] nothing can, but for what takes the place of
    /// somebody who has ended, once it is cool.
    pub fn keeps_from_starting(
        &self,
        cpu: Percent,
        max_celsius: Option<Celsius>,
    ) -> Option<Because> {
        let takes = spread::percent(cpu);
        let at_least = spread::floor_of(takes, self.can_cap);
        if let Some(because) = self.gate.stops(takes, at_least) {
            return Some(because.clone());
        }
        let (limit, smoothed) = max_celsius.zip(self.smoothed)?;
        let is_too_hot = smoothed > limit.degrees() - COOL_BELOW;
        is_too_hot.then(|| Because::TooHotFor { limit, celsius: Celsius::from_degrees(smoothed) })
    }

    /// What is in force for an experiment.
    pub fn restraint(&self, experiment: &ExperimentId) -> Restraint {
        self.reins.of(experiment)
    }

    /// Whether nothing is done, and nothing need be done soon.
    pub fn is_calm(&self) -> bool {
        !self.is_hot && self.level == Level::Normal
    }

    /// How long until the next look: the interval of the settings, or a second while it is hot or
    /// cannot be told.
    pub fn next_look(&self) -> TimeSpan {
        let is_urgent = self.is_hot || !matches!(self.level, Level::Normal | Level::Hold);
        let interval = self.settings.interval();
        if is_urgent { interval.min(QUICK) } else { interval }
    }

    fn throttle(&self) -> f64 {
        self.settings.throttle().degrees()
    }

    fn look_at(
        &mut self,
        heat: &Heat,
        seen: &HeatObservation<'_>,
        order: &[&Living],
    ) -> Vec<HeatMove> {
        let throttle = self.throttle();
        self.smoothed = Some(heat.smoothed);
        let soon = heat.after(LEAD).max(heat.raw);
        self.is_hot = soon >= throttle - HOT_BELOW || heat.missed.is_some();
        self.critical = self.is_critical(heat);
        let wanted = self.wanted(heat, seen, order);
        let holds_back = !wanted.is_none();
        let mut moves: Vec<HeatMove> =
            self.gate.shut(heat, throttle, self.critical || holds_back).into_iter().collect();
        moves.extend(self.change_to(order, wanted, &heat.because()));
        if moves.iter().any(|one| matches!(one.step, HeatStep::Stop { .. })) {
            self.gate.without_leaving(self.reins.claims(order));
        }
        if order.is_empty() && self.gate.has_long_been_cool(heat, throttle, seen.uptime) {
            self.budget.get_or_insert_default().lift(seen.uptime);
        }
        if !self.critical && self.reins.are_loose() {
            moves.extend(self.gate.open(heat, throttle, seen.uptime));
        }
        let limit = self.budget.as_ref().and_then(Budget::limit).unwrap_or(f64::INFINITY);
        let may_replace = (!self.critical).then_some(heat);
        // What has not begun yet is known by its definition alone, and so are those it is measured by.
        let left = limit - self.reins.demand(order);
        self.gate.count(self.reins.claims(order), left, may_replace, throttle);
        self.level = self.level_now();
        moves
    }

    /// One reading alone may be a sensor's slip: it counts when the one before was hot as well. From
    /// there it is critical until it is cool.
    fn is_critical(&self, heat: &Heat) -> bool {
        let throttle = self.throttle();
        let is_sure = heat.before.is_some_and(|before| before >= throttle);
        let is_cool = heat.smoothed.max(heat.raw) <= throttle - COOL_BELOW;
        (is_sure && heat.raw >= self.settings.critical().degrees()) || (self.critical && !is_cool)
    }

    /// What should be in force.
    fn wanted(&mut self, heat: &Heat, seen: &HeatObservation<'_>, order: &[&Living]) -> Wanted {
        if self.critical {
            return self.reins.all_gone(order);
        }
        let throttle = self.throttle();
        let demand = self.reins.demand(order);
        let circumstances = Circumstances {
            throttle,
            far_too_hot: f64::midpoint(throttle, self.settings.critical().degrees()),
            demand,
            most: demand.max(spread::percent(seen.processors)),
            all_or_one_less: (!self.can_cap).then(|| self.reins.floors(order)),
        };
        let reins = &mut self.reins;
        let budget = self.budget.get_or_insert_with(|| {
            // What another ladder left in force was its budget.
            reins.allowance(order, seen.gpu).map_or_else(Budget::default, Budget::of)
        });
        let change = budget.look(seen.uptime, heat, circumstances);
        if change == Change::Cut {
            self.sense.turn_over();
        }
        reins.put_aside(seen.uptime, order, heat);
        let wanted = reins.wanted(budget.limit(), order, seen.gpu);
        if change == Change::None { reins.linger(seen.uptime, wanted) } else { wanted }
    }

    fn change_to(&mut self, order: &[&Living], wanted: Wanted, because: &Because) -> Vec<HeatMove> {
        let steps = self.reins.change_to(order, wanted).into_iter();
        steps.map(|step| HeatMove { step, because: because.clone() }).collect()
    }

    /// Nothing can be told: what is held back stays so, and nothing is started.
    fn blind(&mut self, why: String, order: &[&Living]) -> Vec<HeatMove> {
        self.level = Level::Blind(why.clone());
        let because = Because::Unreadable(why);
        let said = self.gate.shut_for(because.clone());
        self.gate.count(f64::INFINITY, f64::INFINITY, None, 0.0);
        let wanted =
            if self.critical { self.reins.all_gone(order) } else { self.reins.as_they_are() };
        said.into_iter().chain(self.change_to(order, wanted, &because)).collect()
    }

    /// On a machine without zones there is no heat to speak of.
    fn without_zones(&mut self, order: &[&Living]) -> Vec<HeatMove> {
        let mut moves = self.change_to(order, Wanted::default(), &Because::NoZones);
        moves.extend(self.gate.open_for(Because::NoZones));
        self.level = Level::Normal;
        moves
    }

    fn level_now(&self) -> Level {
        if self.critical {
            Level::Critical
        } else if !self.reins.are_loose() {
            Level::Throttle
        } else if self.gate.why_shut().is_some() {
            Level::Hold
        } else {
            Level::Normal
        }
    }
}
