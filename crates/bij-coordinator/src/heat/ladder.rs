//! The ladder itself: what is in force, and what one look changes of it.

use std::collections::{BTreeMap, BTreeSet};

use bij_core::{Celsius, ExperimentId, Percent, TimeSpan};

use super::budget::{Budget, Change, Circumstances};
use super::gate::{COOL_BELOW, Gate};
use super::sense::{Heat, LEAD, Sense, Sight, seconds_between};
use super::spread::{self, Motion, Restraint};
use super::steps;
use super::{Because, Haste, HeatMove, HeatSeen, HeatSettings, HeatStep, Level, Living};

/// An experiment that was put aside for its own limit stays so at least so many seconds.
const ASIDE: f64 = 1200.0;
/// What somebody has left who has ended is kept for who takes his place for so many seconds.
const LINGERING: f64 = 60.0;
/// How often it is looked while it is hot: a die warms by a degree a second at worst.
const QUICK: TimeSpan = TimeSpan::from_secs(1);
/// It is hot from so far below the threshold on.
const HOT_BELOW: f64 = 8.0;

/// The heat ladder; see [the module](super).
#[derive(Clone, Debug, PartialEq)]
pub struct Ladder {
    settings: HeatSettings,
    sense: Sense,
    budget: Budget,
    in_force: BTreeMap<ExperimentId, Restraint>,
    /// Those whose restraint was said and did not come to be.
    again: BTreeSet<ExperimentId>,
    /// Those that are put aside for their own limit, and since when.
    aside: BTreeMap<ExperimentId, TimeSpan>,
    gate: Gate,
    level: Level,
    /// From a critical reading on until it is cool, with or without sight.
    critical: bool,
    smoothed: Option<f64>,
    is_hot: bool,
    /// Whether what is in force was left by another ladder and no budget is known for it.
    taken_over: bool,
    /// Whether those that were seen last could be capped.
    can_cap: bool,
    /// Since when less would have to be in force than is, for that somebody has ended.
    loose_since: Option<TimeSpan>,
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
        let in_force: BTreeMap<_, _> =
            in_force.into_iter().filter(|(_, restraint)| !restraint.is_none()).collect();
        Self {
            settings,
            sense: Sense::default(),
            budget: Budget::default(),
            taken_over: !in_force.is_empty(),
            in_force,
            again: BTreeSet::new(),
            aside: BTreeMap::new(),
            gate: Gate::default(),
            level: Level::default(),
            critical: false,
            smoothed: None,
            is_hot: false,
            can_cap: true,
            loose_since: None,
        }
    }

    /// Goes by other settings from the next look on.
    pub fn set(&mut self, settings: HeatSettings) {
        self.settings = settings;
    }

    /// Takes in one look at the machine and says what is to be done, in the order in which it is to be
    /// done. What is said counts as done unless it [failed](Self::failed).
    pub fn look(&mut self, seen: &HeatSeen<'_>) -> Vec<HeatMove> {
        let order = spread::in_order(seen.living, &self.in_force);
        self.forget_all_but(&order);
        if !order.is_empty() {
            self.can_cap = order.iter().any(|one| one.can_cap);
        }
        let throttle = self.settings.throttle().degrees();
        let heat = match self.sense.look(seen.uptime, seen.zones, throttle) {
            Sight::Heat(heat) => heat,
            Sight::NoZones => return self.without_zones(&order),
            Sight::Blind(why) => return self.blind(why),
        };
        self.smoothed = Some(heat.smoothed);
        let soon = heat.after(LEAD).max(heat.raw);
        self.is_hot = soon >= throttle - HOT_BELOW || heat.missed.is_some();
        self.critical = self.is_critical(&heat);
        let wanted = if self.critical {
            order.iter().map(|one| (one.experiment.clone(), gone())).collect()
        } else {
            let change = self.find_budget(seen, &order, &heat);
            self.put_aside(seen.uptime, &order, &heat);
            let wanted = self.wanted(&order);
            if change == Change::None { self.linger(seen.uptime, wanted) } else { wanted }
        };
        let because = heat.because();
        let holds_back = wanted.values().any(|restraint| !restraint.is_none());
        let mut moves: Vec<HeatMove> =
            self.gate.shut(&heat, throttle, self.critical || holds_back).into_iter().collect();
        moves.extend(self.change_to(&order, wanted, &because));
        if moves.iter().any(|one| matches!(one.step, HeatStep::Stop { .. })) {
            self.gate.without_leaving(self.demand(&order));
        }
        if order.is_empty() && self.gate.has_long_been_cool(&heat, throttle, seen.uptime) {
            self.budget.lift(seen.uptime);
        }
        if !self.critical && self.in_force.is_empty() {
            moves.extend(self.gate.open(&heat, throttle, seen.uptime));
        }
        let may_replace = (!self.critical).then_some(&heat);
        self.gate.count(self.demand(&order), self.budget.limit(), may_replace, throttle);
        self.level = self.level_now();
        moves
    }

    /// A step that was said could not be done: it is said again at the next look, if it is still
    /// wanted by then.
    pub fn failed(&mut self, step: &HeatStep) {
        match step {
            // Of these nothing is done that could fail.
            HeatStep::Hold | HeatStep::Admit => {}
            HeatStep::Cap { experiment, .. }
            | HeatStep::Freeze { experiment }
            | HeatStep::Stop { experiment, .. } => {
                self.again.insert(experiment.clone());
            }
            HeatStep::Thaw { experiment } => {
                self.in_force.entry(experiment.clone()).or_default().motion = Motion::Frozen;
            }
            HeatStep::Uncap { experiment } => {
                self.in_force.entry(experiment.clone()).or_default().cap = Some(Percent::HUNDRED);
            }
        }
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
        self.in_force.get(experiment).copied().unwrap_or_default()
    }

    /// How long until the next look: the interval of the settings, or a second while it is hot or
    /// cannot be told.
    pub fn next_look(&self) -> TimeSpan {
        let is_urgent = self.is_hot || !matches!(self.level, Level::Normal | Level::Hold);
        let interval = self.settings.interval();
        if is_urgent { interval.min(QUICK) } else { interval }
    }

    /// Who is no longer up has nothing in force.
    fn forget_all_but(&mut self, order: &[&Living]) {
        let ids: BTreeSet<&ExperimentId> = order.iter().map(|one| &one.experiment).collect();
        self.in_force.retain(|id, _| ids.contains(id));
        self.again.retain(|id| ids.contains(id));
        self.aside.retain(|id, _| ids.contains(id));
    }

    /// One reading alone may be a sensor's slip: it counts when the one before was hot as well. From
    /// there it is critical until it is cool.
    fn is_critical(&self, heat: &Heat) -> bool {
        let throttle = self.settings.throttle().degrees();
        let is_sure = heat.before.is_some_and(|before| before >= throttle);
        let is_cool = heat.smoothed <= throttle - COOL_BELOW;
        (is_sure && heat.raw >= self.settings.critical().degrees()) || (self.critical && !is_cool)
    }

    fn find_budget(&mut self, seen: &HeatSeen<'_>, order: &[&Living], heat: &Heat) -> Change {
        if std::mem::take(&mut self.taken_over) {
            self.budget = Budget::of(self.left_by_restraints(order));
        }
        let throttle = self.settings.throttle().degrees();
        let processors = spread::percent(seen.processors);
        let circumstances = Circumstances {
            throttle,
            far_too_hot: f64::midpoint(throttle, self.settings.critical().degrees()),
            demand: self.demand(order).min(processors),
            processors,
        };
        let change = self.budget.look(seen.uptime, heat, circumstances);
        if change == Change::Cut {
            self.sense.turn_over();
        }
        change
    }

    /// What all that stay would take together.
    fn demand(&self, order: &[&Living]) -> f64 {
        self.unstopped(order).map(spread::cpu).sum()
    }

    /// Those that were not told to leave: the others are counted out.
    fn unstopped<'a>(&self, order: &[&'a Living]) -> impl Iterator<Item = &'a Living> {
        let is_leaving =
            |one: &&Living| matches!(self.restraint(&one.experiment).motion, Motion::Stopping(_));
        order.iter().copied().filter(move |one| !is_leaving(one))
    }

    /// What those that live may take with what is in force.
    fn left_by_restraints(&self, order: &[&Living]) -> f64 {
        let left = order.iter().map(|one| match self.restraint(&one.experiment) {
            Restraint { motion: Motion::Running, cap } => {
                cap.map_or(spread::cpu(one), spread::percent)
            }
            _ => 0.0,
        });
        left.sum()
    }

    /// Puts those aside for whom it is too hot by their own limit, until it is cool for them.
    fn put_aside(&mut self, at: TimeSpan, order: &[&Living], heat: &Heat) {
        for one in order {
            let limit = one.max_celsius.map_or(f64::INFINITY, Celsius::degrees);
            let since = self.aside.get(&one.experiment);
            let stays = since.is_some_and(|since| seconds_between(*since, at) < ASIDE);
            if heat.after(LEAD) >= limit {
                self.aside.entry(one.experiment.clone()).or_insert(at);
            } else if !stays && heat.smoothed <= limit - COOL_BELOW {
                self.aside.remove(&one.experiment);
            }
        }
    }

    /// What should be in force for each.
    fn wanted(&self, order: &[&Living]) -> BTreeMap<ExperimentId, Restraint> {
        let running: Vec<&Living> =
            self.unstopped(order).filter(|one| !self.aside.contains_key(&one.experiment)).collect();
        let mut wanted = match self.budget.limit() {
            Some(limit) => spread::spread(limit, &running),
            None => BTreeMap::new(),
        };
        for one in order {
            let id = &one.experiment;
            let in_force = self.restraint(id);
            if matches!(in_force.motion, Motion::Stopping(_)) {
                // Nobody who was told to leave is told to stay.
                wanted.insert(id.clone(), in_force);
            } else if self.aside.contains_key(id) {
                wanted.insert(id.clone(), Restraint::default().out_of_the_way(one));
            }
        }
        wanted
    }

    /// What is to be in force of what is wanted now: somebody who has ended may soon be replaced, so what
    /// he leaves is given to others only after a while.
    fn linger(
        &mut self,
        at: TimeSpan,
        mut wanted: BTreeMap<ExperimentId, Restraint>,
    ) -> BTreeMap<ExperimentId, Restraint> {
        let looser: Vec<_> = self
            .in_force
            .iter()
            .filter(|(id, now)| wanted.get(id).copied().unwrap_or_default().is_looser_than(**now))
            .map(|(id, now)| (id.clone(), *now))
            .collect();
        if looser.is_empty() {
            self.loose_since = None;
        } else if seconds_between(*self.loose_since.get_or_insert(at), at) < LINGERING {
            wanted.extend(looser);
        }
        wanted
    }

    /// Puts this in force and says what that takes.
    fn change_to(
        &mut self,
        order: &[&Living],
        mut wanted: BTreeMap<ExperimentId, Restraint>,
        because: &Because,
    ) -> Vec<HeatMove> {
        wanted.retain(|_, restraint| !restraint.is_none());
        let again = std::mem::take(&mut self.again);
        let steps = steps::between(order, &self.in_force, &wanted, &again);
        self.in_force = wanted;
        steps.into_iter().map(|step| HeatMove { step, because: because.clone() }).collect()
    }

    /// Nothing can be told: what is held back stays so, and nothing is started.
    fn blind(&mut self, why: String) -> Vec<HeatMove> {
        self.level = Level::Blind(why.clone());
        let said = self.gate.shut_for(Because::Lost(why));
        self.gate.count(f64::INFINITY, None, None, 0.0);
        said.into_iter().collect()
    }

    /// On a machine without zones there is no heat to speak of.
    fn without_zones(&mut self, order: &[&Living]) -> Vec<HeatMove> {
        let mut moves = self.change_to(order, BTreeMap::new(), &Because::NoZones);
        moves.extend(self.gate.open_for(Because::NoZones));
        self.level = Level::Normal;
        moves
    }

    fn level_now(&self) -> Level {
        if self.critical {
            Level::Critical
        } else if !self.in_force.is_empty() {
            Level::Throttle
        } else if self.gate.why_shut().is_some() {
            Level::Hold
        } else {
            Level::Normal
        }
    }
}

/// What is in force for all when it is critical.
fn gone() -> Restraint {
    Restraint { cap: None, motion: Motion::Stopping(Haste::Critical) }
}
