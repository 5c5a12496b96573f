//! Plans the restraints of experiments, and tracks those in force.

use std::collections::{BTreeMap, BTreeSet};

use bij_core::{Celsius, ExperimentId, Hertz, Percent, Uptime};

use super::allocation::{self, Motion, Restraint};
use super::demand::Demands;
use super::gate::COOL_BELOW;
use super::temperature::{LEAD, TemperatureTrend, seconds_between};
use super::{GpuClockState, Haste, HeatStep, Living, clock, steps};

/// Shortest suspension of an experiment that has reached its own limit, in seconds.
const MIN_SUSPENSION: f64 = 1200.0;
/// How long the share of an ended experiment is kept for its replacement, in seconds.
const REPLACEMENT_WAIT: f64 = 60.0;

/// A set of restraints.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Restraints {
    /// Restraint of each experiment; one without an entry is unrestrained.
    pub(super) each: BTreeMap<ExperimentId, Restraint>,
    /// Limit of the GPU's clock.
    pub(super) gpu: Option<Hertz>,
}

impl Restraints {
    /// Returns whether nothing is restrained.
    pub(super) fn is_empty(&self) -> bool {
        self.gpu.is_none() && self.each.values().all(Restraint::is_empty)
    }

    /// Returns the restraint of an experiment.
    pub(super) fn restraint(&self, experiment: &ExperimentId) -> Restraint {
        self.each.get(experiment).copied().unwrap_or_default()
    }
}

/// Restraints in force, and what the next ones are planned from.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct RestraintPlanner {
    current: Restraints,
    /// Experiments whose last move failed.
    failed: BTreeSet<ExperimentId>,
    /// Experiments suspended because of their own limit, each with the uptime since when.
    suspended: BTreeMap<ExperimentId, Uptime>,
    /// Measured use of processor time.
    demands: Demands,
    /// Uptime since which the restraints are tighter than needed, because an experiment has ended.
    loosening_since: Option<Uptime>,
}

impl RestraintPlanner {
    /// Starts with the restraints that another ladder has left in force.
    pub(super) fn inherited(current: impl IntoIterator<Item = (ExperimentId, Restraint)>) -> Self {
        let each = current.into_iter().filter(|(_, restraint)| !restraint.is_empty()).collect();
        Self { current: Restraints { each, gpu: None }, ..Self::default() }
    }

    /// Returns whether nothing is restrained.
    pub(super) fn is_empty(&self) -> bool {
        self.current.is_empty()
    }

    /// Returns the restraint in force for an experiment.
    pub(super) fn restraint(&self, experiment: &ExperimentId) -> Restraint {
        self.current.restraint(experiment)
    }

    /// Takes over the limit of the GPU's clock, which other programs can set as well.
    pub(super) fn observe_gpu(&mut self, gpu: Option<GpuClockState<'_>>) {
        self.current.gpu = gpu.and_then(|gpu| gpu.bound);
    }

    /// Returns the experiments in the order in which they are restrained, and forgets those that are down.
    pub(super) fn update_and_sort<'a>(&mut self, living: &'a [Living]) -> Vec<&'a Living> {
        let ids: BTreeSet<&ExperimentId> = living.iter().map(|one| &one.experiment).collect();
        self.current.each.retain(|id, _| ids.contains(id));
        self.failed.retain(|id| ids.contains(id));
        self.suspended.retain(|id, _| ids.contains(id));
        allocation::restraint_order(living, &self.current.each)
    }

    /// Forgets the caps of experiments on which caps turned out to have no effect: there is nothing to lift.
    /// Returns whether there were any.
    pub(super) fn forget_ineffective_caps(&mut self, living: &[Living]) -> bool {
        let mut has_any = false;
        for one in living.iter().filter(|one| !one.can_cap) {
            let Some(restraint) = self.current.each.get_mut(&one.experiment) else { continue };
            has_any |= restraint.cap.take().is_some();
            self.failed.remove(&one.experiment);
        }
        self.current.each.retain(|_, restraint| !restraint.is_empty());
        has_any
    }

    /// Records the processor time that each has used.
    pub(super) fn measure(&mut self, at: Uptime, living: &[Living], is_budget: bool) {
        self.demands.measure(at, living, is_budget, &self.current);
    }

    /// Returns the sum of the CPU quotas of all experiments that are not stopping.
    pub(super) fn total_quota(&self, order: &[&Living]) -> f64 {
        self.not_stopping(order).map(allocation::cpu).sum()
    }

    /// Returns the sum of the demands of all experiments that are not stopping.
    pub(super) fn demand(&self, order: &[&Living]) -> f64 {
        self.not_stopping(order).map(|one| self.demands.demand(one)).sum()
    }

    /// Returns the smallest budget under which no running experiment has to be suspended.
    pub(super) fn floors(&self, order: &[&Living]) -> f64 {
        let runs = |one: &&&Living| self.restraint(&one.experiment).motion == Motion::Running;
        order.iter().filter(runs).map(|one| allocation::floor(one, self.demands.demand(one))).sum()
    }

    /// Returns the processor time that the restraints in force allow, if there are any.
    pub(super) fn allowance(
        &self,
        order: &[&Living],
        gpu: Option<GpuClockState<'_>>,
    ) -> Option<f64> {
        let gpu_share = gpu.map_or(1.0, clock::share);
        let allowed = order.iter().map(|one| match self.restraint(&one.experiment) {
            Restraint { motion: Motion::Running, cap } => {
                let by_gpu = if one.can_cap_gpu { gpu_share } else { 1.0 };
                cap.map_or(f64::INFINITY, allocation::percent).min(allocation::cpu(one) * by_gpu)
            }
            Restraint { motion: Motion::Frozen | Motion::Stopping(_), .. } => 0.0,
        });
        (!self.is_empty()).then(|| allowed.sum())
    }

    /// Returns the experiments that were not told to stop.
    fn not_stopping<'a>(&self, order: &[&'a Living]) -> impl Iterator<Item = &'a Living> {
        let is_stopping =
            |one: &&Living| matches!(self.restraint(&one.experiment).motion, Motion::Stopping(_));
        order.iter().copied().filter(move |one| !is_stopping(one))
    }

    /// Suspends the experiments for which it is too hot by their own limit, until it is cool for them.
    pub(super) fn suspend_over_own_limit(
        &mut self,
        at: Uptime,
        order: &[&Living],
        trend: &TemperatureTrend,
    ) {
        for one in order {
            let limit = one.max_celsius.map_or(f64::INFINITY, Celsius::degrees);
            let since = self.suspended.get(&one.experiment);
            let stays = since.is_some_and(|since| seconds_between(*since, at) < MIN_SUSPENSION);
            if trend.after(LEAD) >= limit {
                self.suspended.entry(one.experiment.clone()).or_insert(at);
            } else if !stays && trend.smoothed <= limit - COOL_BELOW {
                self.suspended.remove(&one.experiment);
            }
        }
    }

    /// Returns the restraints that a budget requires.
    pub(super) fn plan(
        &self,
        limit: Option<f64>,
        order: &[&Living],
        gpu: Option<GpuClockState<'_>>,
    ) -> Restraints {
        let running =
            self.not_stopping(order).filter(|one| !self.suspended.contains_key(&one.experiment));
        let running: Vec<_> = running.map(|one| (one, self.demands.demand(one))).collect();
        let allocation = limit.map(|limit| allocation::allocate(limit, &running));
        let gpu = match (&allocation, gpu) {
            (Some(allocation), Some(gpu)) => match allocation.gpu_share {
                Some(share) => clock::limit(gpu, share, order.iter().any(|one| one.can_cap)),
                // The experiments that use the GPU are suspended; they will continue at the clock that they had.
                None => gpu.bound.filter(|_| order.iter().any(|one| one.can_cap_gpu)),
            },
            (None, _) | (_, None) => None,
        };
        let mut wanted = allocation.map_or_else(BTreeMap::new, |allocation| allocation.each);
        for one in order {
            let id = &one.experiment;
            let current = self.restraint(id);
            if matches!(current.motion, Motion::Stopping(_)) {
                // An experiment that was told to stop is never told to continue.
                wanted.insert(id.clone(), current);
            } else if self.suspended.contains_key(id) {
                let running = Restraint { motion: Motion::Running, ..current };
                wanted.insert(id.clone(), running.suspended(one));
            }
        }
        Restraints { each: wanted, gpu }
    }

    /// Returns the restraints in force.
    pub(super) fn unchanged(&self) -> Restraints {
        self.current.clone()
    }

    /// Returns restraints that stop every experiment.
    pub(super) fn stop_all(&self, order: &[&Living]) -> Restraints {
        let stopped = Restraint { cap: None, motion: Motion::Stopping(Haste::Critical) };
        let each = order.iter().map(|one| (one.experiment.clone(), stopped)).collect();
        Restraints { each, gpu: self.current.gpu }
    }

    /// Delays a loosening of the restraints: an experiment that has ended may soon be replaced, so its share is
    /// given to the others only after a while.
    pub(super) fn delay_loosening(&mut self, at: Uptime, mut wanted: Restraints) -> Restraints {
        let is_looser = |id, now: &Restraint| wanted.restraint(id).is_looser_than(*now);
        let looser: Vec<_> = self
            .current
            .each
            .iter()
            .filter(|(id, now)| is_looser(*id, now))
            .map(|(id, now)| (id.clone(), *now))
            .collect();
        let rate = |gpu: Option<Hertz>| gpu.map_or(u64::MAX, Hertz::get);
        let is_faster = rate(wanted.gpu) > rate(self.current.gpu);
        if looser.is_empty() && !is_faster {
            self.loosening_since = None;
        } else if seconds_between(*self.loosening_since.get_or_insert(at), at) < REPLACEMENT_WAIT {
            wanted.each.extend(looser);
            if is_faster {
                wanted.gpu = self.current.gpu;
            }
        }
        wanted
    }

    /// Makes these the restraints in force, and returns the steps that lead to them.
    pub(super) fn apply(&mut self, order: &[&Living], mut wanted: Restraints) -> Vec<HeatStep> {
        wanted.each.retain(|_, restraint| !restraint.is_empty());
        let failed = std::mem::take(&mut self.failed);
        let steps = steps::between(order, &self.current, &wanted, &failed);
        self.current = wanted;
        steps
    }

    /// Notes that a step could not be carried out.
    pub(super) fn failed(&mut self, step: &HeatStep) {
        match step {
            // These steps cannot fail, or the next observation shows the result.
            HeatStep::Hold | HeatStep::Admit | HeatStep::CapGpu { .. } | HeatStep::UncapGpu => {}
            HeatStep::Cap { experiment, .. }
            | HeatStep::Freeze { experiment }
            | HeatStep::Stop { experiment, .. } => {
                self.failed.insert(experiment.clone());
            }
            HeatStep::Thaw { experiment } => {
                self.current.each.entry(experiment.clone()).or_default().motion = Motion::Frozen;
            }
            HeatStep::Uncap { experiment } => {
                // The value of the cap does not matter: it is to be lifted.
                self.current.each.entry(experiment.clone()).or_default().cap =
                    Some(Percent::HUNDRED);
            }
        }
    }
}
