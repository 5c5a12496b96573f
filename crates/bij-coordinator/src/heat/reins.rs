//! What is in force for each experiment, and what should be.

use std::collections::{BTreeMap, BTreeSet};

use bij_core::{Celsius, ExperimentId, Percent, TimeSpan};

use super::gate::COOL_BELOW;
use super::sense::{Heat, LEAD, seconds_between};
use super::spread::{self, Motion, Restraint};
use super::{Haste, HeatStep, Living, steps};

/// An experiment that was put aside for its own limit stays so at least so many seconds.
const ASIDE: f64 = 1200.0;
/// What somebody has left who has ended is kept for who takes his place for so many seconds.
const LINGERING: f64 = 60.0;

/// What should be in force.
pub(super) type Wanted = BTreeMap<ExperimentId, Restraint>;

/// What is in force.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reins {
    in_force: BTreeMap<ExperimentId, Restraint>,
    /// Those whose restraint was said and did not come to be.
    again: BTreeSet<ExperimentId>,
    /// Those that are put aside for their own limit, and since when.
    aside: BTreeMap<ExperimentId, TimeSpan>,
    /// Since when less would have to be in force than is, for that somebody has ended.
    loose_since: Option<TimeSpan>,
}

impl Reins {
    /// This is what another ladder left.
    pub(super) fn left(in_force: impl IntoIterator<Item = (ExperimentId, Restraint)>) -> Self {
        let in_force = in_force.into_iter().filter(|(_, restraint)| !restraint.is_none()).collect();
        Self { in_force, ..Self::default() }
    }

    /// Whether nobody is held back.
    pub(super) fn are_loose(&self) -> bool {
        self.in_force.is_empty()
    }

    /// What is in force for an experiment.
    pub(super) fn of(&self, experiment: &ExperimentId) -> Restraint {
        self.in_force.get(experiment).copied().unwrap_or_default()
    }

    /// Sorts: who is held back first goes first. Who is no longer up has nothing in force.
    pub(super) fn take_up<'a>(&mut self, living: &'a [Living]) -> Vec<&'a Living> {
        let ids: BTreeSet<&ExperimentId> = living.iter().map(|one| &one.experiment).collect();
        self.in_force.retain(|id, _| ids.contains(id));
        self.again.retain(|id| ids.contains(id));
        self.aside.retain(|id, _| ids.contains(id));
        spread::in_order(living, &self.in_force)
    }

    /// Forgets the caps of those on whom they turned out to have no effect: there is nothing to lift.
    /// Gives whether there were any.
    pub(super) fn forget_vain_caps(&mut self, living: &[Living]) -> bool {
        let mut any = false;
        for one in living.iter().filter(|one| !one.can_cap) {
            let Some(restraint) = self.in_force.get_mut(&one.experiment) else { continue };
            any |= restraint.cap.take().is_some();
            self.again.remove(&one.experiment);
        }
        self.in_force.retain(|_, restraint| !restraint.is_none());
        any
    }

    /// What all that stay would take together.
    pub(super) fn demand(&self, order: &[&Living]) -> f64 {
        self.staying(order).map(spread::cpu).sum()
    }

    /// What those that run need at least, so that none is put aside.
    pub(super) fn floors(&self, order: &[&Living]) -> f64 {
        let runs = |one: &&&Living| self.of(&one.experiment).motion == Motion::Running;
        order.iter().filter(runs).map(|one| spread::floor(one)).sum()
    }

    /// What all may take with what is in force, if that holds anybody back.
    pub(super) fn allowance(&self, order: &[&Living]) -> Option<f64> {
        let allowed = order.iter().map(|one| match self.of(&one.experiment) {
            Restraint { motion: Motion::Running, cap } => {
                cap.map_or(spread::cpu(one), spread::percent)
            }
            Restraint { motion: Motion::Frozen | Motion::Stopping(_), .. } => 0.0,
        });
        (!self.are_loose()).then(|| allowed.sum())
    }

    /// Those that were not told to leave: the others are counted out.
    fn staying<'a>(&self, order: &[&'a Living]) -> impl Iterator<Item = &'a Living> {
        let is_leaving =
            |one: &&Living| matches!(self.of(&one.experiment).motion, Motion::Stopping(_));
        order.iter().copied().filter(move |one| !is_leaving(one))
    }

    /// Puts those aside for whom it is too hot by their own limit, until it is cool for them.
    pub(super) fn put_aside(&mut self, at: TimeSpan, order: &[&Living], heat: &Heat) {
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

    /// What should be in force for each under a budget.
    pub(super) fn wanted(&self, limit: Option<f64>, order: &[&Living]) -> Wanted {
        let running: Vec<&Living> =
            self.staying(order).filter(|one| !self.aside.contains_key(&one.experiment)).collect();
        let mut wanted = limit.map_or_else(Wanted::new, |limit| spread::spread(limit, &running));
        for one in order {
            let id = &one.experiment;
            let in_force = self.of(id);
            if matches!(in_force.motion, Motion::Stopping(_)) {
                // Nobody who was told to leave is told to stay.
                wanted.insert(id.clone(), in_force);
            } else if self.aside.contains_key(id) {
                let running = Restraint { motion: Motion::Running, ..in_force };
                wanted.insert(id.clone(), running.out_of_the_way(one));
            }
        }
        wanted
    }

    /// What is in force should stay so.
    pub(super) fn as_they_are(&self) -> Wanted {
        self.in_force.clone()
    }

    /// What is to be in force of what is wanted now: somebody who has ended may soon be replaced, so
    /// what he leaves is given to others only after a while.
    pub(super) fn linger(&mut self, at: TimeSpan, mut wanted: Wanted) -> Wanted {
        let is_looser =
            |id, now: &Restraint| wanted.get(id).copied().unwrap_or_default().is_looser_than(*now);
        let looser: Vec<_> = self
            .in_force
            .iter()
            .filter(|(id, now)| is_looser(*id, now))
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
    pub(super) fn change_to(&mut self, order: &[&Living], mut wanted: Wanted) -> Vec<HeatStep> {
        wanted.retain(|_, restraint| !restraint.is_none());
        let again = std::mem::take(&mut self.again);
        let steps = steps::between(order, &self.in_force, &wanted, &again);
        self.in_force = wanted;
        steps
    }

    /// A step that was said could not be done.
    pub(super) fn failed(&mut self, step: &HeatStep) {
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
                // Which cap it was does not matter: it is to be lifted.
                self.in_force.entry(experiment.clone()).or_default().cap = Some(Percent::HUNDRED);
            }
        }
    }
}

/// Everybody is to leave.
pub(super) fn all_gone(order: &[&Living]) -> Wanted {
    let gone = Restraint { cap: None, motion: Motion::Stopping(Haste::Critical) };
    order.iter().map(|one| (one.experiment.clone(), gone)).collect()
}
