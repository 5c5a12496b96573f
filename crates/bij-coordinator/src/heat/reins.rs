//! What is in force for each experiment, and what should be.

use std::collections::{BTreeMap, BTreeSet};

use bij_core::{Celsius, ExperimentId, Hertz, Percent, TimeSpan};

use super::demand::Demands;
use super::gate::COOL_BELOW;
use super::sense::{Heat, LEAD, seconds_between};
use super::spread::{self, Motion, Restraint};
use super::{GpuClockState, Haste, HeatStep, Living, clock, steps};

/// An experiment that was put aside for its own limit stays so at least so many seconds.
const ASIDE: f64 = 1200.0;
/// What somebody has left who has ended is kept for who takes his place for so many seconds.
const LINGERING: f64 = 60.0;

/// What is in force, or should be.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Wanted {
    /// For each experiment; who is not there is not held back.
    pub(super) each: BTreeMap<ExperimentId, Restraint>,
    /// The bound of the GPU's clock.
    pub(super) gpu: Option<Hertz>,
}

impl Wanted {
    /// Whether nobody is held back.
    pub(super) fn is_none(&self) -> bool {
        self.gpu.is_none() && self.each.values().all(Restraint::is_none)
    }

    /// What is in force for an experiment.
    pub(super) fn of(&self, experiment: &ExperimentId) -> Restraint {
        self.each.get(experiment).copied().unwrap_or_default()
    }
}

/// What is in force.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reins {
    in_force: Wanted,
    /// Those whose restraint was said and did not come to be.
    again: BTreeSet<ExperimentId>,
    /// Those that are put aside for their own limit, and since when.
    aside: BTreeMap<ExperimentId, TimeSpan>,
    /// What they take.
    demands: Demands,
    /// Since when less would have to be in force than is, for that somebody has ended.
    loose_since: Option<TimeSpan>,
}

impl Reins {
    /// This is what another ladder left.
    pub(super) fn left(in_force: impl IntoIterator<Item = (ExperimentId, Restraint)>) -> Self {
        let each = in_force.into_iter().filter(|(_, restraint)| !restraint.is_none()).collect();
        Self { in_force: Wanted { each, gpu: None }, ..Self::default() }
    }

    /// Whether nobody is held back.
    pub(super) fn are_loose(&self) -> bool {
        self.in_force.is_none()
    }

    /// What is in force for an experiment.
    pub(super) fn of(&self, experiment: &ExperimentId) -> Restraint {
        self.in_force.of(experiment)
    }

    /// What of the bound of the GPU's clock is in force: others set that as well.
    pub(super) fn see_gpu(&mut self, gpu: Option<GpuClockState<'_>>) {
        self.in_force.gpu = gpu.and_then(|gpu| gpu.bound);
    }

    /// Sorts: who is held back first goes first. Who is no longer up has nothing in force.
    pub(super) fn take_up<'a>(&mut self, living: &'a [Living]) -> Vec<&'a Living> {
        let ids: BTreeSet<&ExperimentId> = living.iter().map(|one| &one.experiment).collect();
        self.in_force.each.retain(|id, _| ids.contains(id));
        self.again.retain(|id| ids.contains(id));
        self.aside.retain(|id, _| ids.contains(id));
        spread::in_order(living, &self.in_force.each)
    }

    /// Forgets the caps of those on whom they turned out to have no effect: there is nothing to lift.
    /// Gives whether there were any.
    pub(super) fn forget_vain_caps(&mut self, living: &[Living]) -> bool {
        let mut any = false;
        for one in living.iter().filter(|one| !one.can_cap) {
            let Some(restraint) = self.in_force.each.get_mut(&one.experiment) else { continue };
            any |= restraint.cap.take().is_some();
            self.again.remove(&one.experiment);
        }
        self.in_force.each.retain(|_, restraint| !restraint.is_none());
        any
    }

    /// Takes in what each has taken.
    pub(super) fn measure(&mut self, at: TimeSpan, living: &[Living], is_budget: bool) {
        self.demands.look(at, living, is_budget, &self.in_force);
    }

    /// What all that stay may take together, by their definitions.
    pub(super) fn claims(&self, order: &[&Living]) -> f64 {
        self.staying(order).map(spread::cpu).sum()
    }

    /// What all that stay would take together.
    pub(super) fn demand(&self, order: &[&Living]) -> f64 {
        self.staying(order).map(|one| self.demands.of(one)).sum()
    }

    /// What those that run need at least, so that none is put aside.
    pub(super) fn floors(&self, order: &[&Living]) -> f64 {
        let runs = |one: &&&Living| self.of(&one.experiment).motion == Motion::Running;
        order.iter().filter(runs).map(|one| spread::floor(one, self.demands.of(one))).sum()
    }

    /// What all may take with what is in force, if that holds anybody back.
    pub(super) fn allowance(
        &self,
        order: &[&Living],
        gpu: Option<GpuClockState<'_>>,
    ) -> Option<f64> {
        let gpu_share = gpu.map_or(1.0, clock::share_of);
        let allowed = order.iter().map(|one| match self.of(&one.experiment) {
            Restraint { motion: Motion::Running, cap } => {
                let by_gpu = if one.can_cap_gpu { gpu_share } else { 1.0 };
                cap.map_or(f64::INFINITY, spread::percent).min(spread::cpu(one) * by_gpu)
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

    /// What should be in force for each, and for the GPU, under a budget.
    pub(super) fn wanted(
        &self,
        limit: Option<f64>,
        order: &[&Living],
        gpu: Option<GpuClockState<'_>>,
    ) -> Wanted {
        let running = self.staying(order).filter(|one| !self.aside.contains_key(&one.experiment));
        let running: Vec<_> = running.map(|one| (one, self.demands.of(one))).collect();
        let given = limit.map(|limit| spread::spread(limit, &running));
        let gpu = match (&given, gpu) {
            (Some(given), Some(gpu)) => match given.gpu_share {
                Some(share) => clock::bound(gpu, share, order.iter().any(|one| one.can_cap)),
                // Those that use it stand still, and go on with what they had.
                None => gpu.bound.filter(|_| order.iter().any(|one| one.can_cap_gpu)),
            },
            (None, _) | (_, None) => None,
        };
        let mut wanted = given.map_or_else(BTreeMap::new, |given| given.each);
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
        Wanted { each: wanted, gpu }
    }

    /// What is in force should stay so.
    pub(super) fn as_they_are(&self) -> Wanted {
        self.in_force.clone()
    }

    /// Everybody is to leave.
    pub(super) fn all_gone(&self, order: &[&Living]) -> Wanted {
        let gone = Restraint { cap: None, motion: Motion::Stopping(Haste::Critical) };
        let each = order.iter().map(|one| (one.experiment.clone(), gone)).collect();
        Wanted { each, gpu: self.in_force.gpu }
    }

    /// What is to be in force of what is wanted now: somebody who has ended may soon be replaced, so
    /// what he leaves is given to others only after a while.
    pub(super) fn linger(&mut self, at: TimeSpan, mut wanted: Wanted) -> Wanted {
        let is_looser = |id, now: &Restraint| wanted.of(id).is_looser_than(*now);
        let looser: Vec<_> = self
            .in_force
            .each
            .iter()
            .filter(|(id, now)| is_looser(*id, now))
            .map(|(id, now)| (id.clone(), *now))
            .collect();
        let rate = |gpu: Option<Hertz>| gpu.map_or(u64::MAX, Hertz::get);
        let is_faster = rate(wanted.gpu) > rate(self.in_force.gpu);
        if looser.is_empty() && !is_faster {
            self.loose_since = None;
        } else if seconds_between(*self.loose_since.get_or_insert(at), at) < LINGERING {
            wanted.each.extend(looser);
            if is_faster {
                wanted.gpu = self.in_force.gpu;
            }
        }
        wanted
    }

    /// Puts this in force and says what that takes.
    pub(super) fn change_to(&mut self, order: &[&Living], mut wanted: Wanted) -> Vec<HeatStep> {
        wanted.each.retain(|_, restraint| !restraint.is_none());
        let again = std::mem::take(&mut self.again);
        let steps = steps::between(order, &self.in_force, &wanted, &again);
        self.in_force = wanted;
        steps
    }

    /// A step that was said could not be done.
    pub(super) fn failed(&mut self, step: &HeatStep) {
        match step {
            // Of these nothing is done that could fail, or the next look shows what came of it.
            HeatStep::Hold | HeatStep::Admit | HeatStep::CapGpu { .. } | HeatStep::UncapGpu => {}
            HeatStep::Cap { experiment, .. }
            | HeatStep::Freeze { experiment }
            | HeatStep::Stop { experiment, .. } => {
                self.again.insert(experiment.clone());
            }
            HeatStep::Thaw { experiment } => {
                self.in_force.each.entry(experiment.clone()).or_default().motion = Motion::Frozen;
            }
            HeatStep::Uncap { experiment } => {
                // Which cap it was does not matter: it is to be lifted.
                self.in_force.each.entry(experiment.clone()).or_default().cap =
                    Some(Percent::HUNDRED);
            }
        }
    }
}
