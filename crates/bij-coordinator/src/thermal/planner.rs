//! Plans restraints: divides the budget of processor time among the experiments, and finds the changes that lead from
//! the restraints in force to the planned ones.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use bij_core::{ExperimentId, Hertz, Percent, TimeSpan, Uptime};

use super::decision::ThermalAction;
use super::demand::Demands;
use super::gpu_clock::{GpuClockReading, WHOLE};
use super::load::ThermalLoad;
use super::quantity::{CpuShare, Temperature};
use super::restraint::{Activity, Restraint, RestraintChange, Restraints, StopUrgency};
use super::start_gate::COOL_BELOW;
use super::temperature::{LEAD, TemperatureTrend};

/// Smallest cap: this share of the demand, or this much of one processor if that is less. It is enough
/// to answer a watchdog and write a checkpoint, and limits even one thread that keeps a GPU busy.
const FLOOR: (f64, CpuShare) = (0.1, CpuShare::new(20.0));
/// Smallest share of an experiment that only the GPU's clock restrains; below it, little is saved.
const GPU_FLOOR: f64 = 0.25;
/// Share of its demand that the budget must have for an experiment that cannot be capped; it runs in full
/// or not at all.
const UNCAPPED_FLOOR: f64 = 0.5;
/// Shortest suspension of an experiment that has reached its own limit.
const MIN_SUSPENSION: TimeSpan = TimeSpan::from_secs(1200);
/// How long the share of an ended experiment is kept for its replacement.
const REPLACEMENT_WAIT: TimeSpan = TimeSpan::from_secs(60);

/// Restraints in force, and what the next ones are planned from.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct RestraintPlanner {
    current: Restraints,
    /// Experiments whose last change failed.
    failed: BTreeSet<ExperimentId>,
    /// Experiments suspended because of their own limit, each with the uptime since when.
    suspended: BTreeMap<ExperimentId, Uptime>,
    /// Measured use of processor time.
    demands: Demands,
    /// Uptime since which the restraints are tighter than needed, because an experiment has ended.
    loosening_since: Option<Uptime>,
}

/// What to plan for.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlanInputs<'a> {
    /// Processor time that all experiments may use together; `None` is unlimited.
    pub(super) limit: Option<CpuShare>,
    /// Whether restraints may be loosened at once: the budget was changed just now.
    pub(super) may_loosen: bool,
    /// The experiments in [order](restraint_order).
    pub(super) order: &'a [&'a ThermalLoad],
    pub(super) gpu: Option<GpuClockReading<'a>>,
}

impl RestraintPlanner {
    /// Plans the restraints that a budget requires, and returns the actions that put them in force.
    pub(super) fn plan(&mut self, at: Uptime, inputs: PlanInputs<'_>) -> RestraintPlan {
        let PlanInputs { limit, may_loosen, order, gpu } = inputs;
        let running =
            self.not_stopping(order).filter(|load| !self.suspended.contains_key(&load.experiment));
        let running: Vec<_> = running.map(|load| (load, self.demands.demand(load))).collect();
        let allocation = limit.map(|limit| allocate(limit, &running));
        let gpu = match (&allocation, gpu) {
            (Some(allocation), Some(gpu)) => match allocation.gpu_share {
                Some(share) => gpu.limit(share, order.iter().any(|load| load.can_cap)),
                // The experiments that use the GPU are suspended; they will continue at the clock that they had.
                None => gpu.bound.filter(|_| order.iter().any(|load| load.can_cap_gpu)),
            },
            (None, _) | (_, None) => None,
        };
        let each = allocation.map_or_else(BTreeMap::new, |allocation| allocation.each);
        let mut planned = Restraints { each, gpu };
        for load in order {
            let id = &load.experiment;
            let current = self.restraint(id);
            if current.is_stopping() {
                // An experiment that was told to stop is never told to continue.
                planned.each.insert(id.clone(), current);
            } else if self.suspended.contains_key(id) {
                let running = Restraint { activity: Activity::Running, ..current };
                planned.each.insert(id.clone(), suspended(running, load));
            }
        }
        if !may_loosen {
            self.delay_loosening(at, &mut planned);
        }
        self.put_in_force(order, planned)
    }

    /// Delays a loosening of the restraints: an experiment that has ended may soon be replaced, so its share is
    /// given to the others only after a while.
    fn delay_loosening(&mut self, at: Uptime, planned: &mut Restraints) {
        let is_looser = |id, now: &Restraint| planned.restraint(id).is_looser_than(*now);
        let looser: Vec<_> = self
            .current
            .each
            .iter()
            .filter(|(id, now)| is_looser(*id, now))
            .map(|(id, now)| (id.clone(), *now))
            .collect();
        let rate = |gpu: Option<Hertz>| gpu.map_or(u64::MAX, Hertz::get);
        let is_faster = rate(planned.gpu) > rate(self.current.gpu);
        if looser.is_empty() && !is_faster {
            self.loosening_since = None;
            return;
        }
        let since = *self.loosening_since.get_or_insert(at);
        if at - since < REPLACEMENT_WAIT {
            planned.each.extend(looser);
            if is_faster {
                planned.gpu = self.current.gpu;
            }
        }
    }

    /// Makes these the restraints in force, and returns the actions that lead to them.
    fn put_in_force(&mut self, order: &[&ThermalLoad], mut planned: Restraints) -> RestraintPlan {
        planned.each.retain(|_, restraint| !restraint.is_empty());
        let failed = std::mem::take(&mut self.failed);
        let plan = RestraintPlan::new(order, &self.current, &planned, &failed);
        self.current = planned;
        plan
    }
}

/// Result of dividing a budget.
#[derive(Clone, Debug, Default, PartialEq)]
struct Allocation {
    /// Restraint of each experiment.
    each: BTreeMap<ExperimentId, Restraint>,
    /// Largest share of its demand that any running experiment with the GPU gets; the clock may restrain
    /// none of them further.
    gpu_share: Option<f64>,
}

/// Divides the budget among the experiments in [order](restraint_order), by their demands.
///
/// The last experiments in the order get their demand as long as a floor is left for the others. If not even
/// the floors fit, the first are frozen, or stopped if they cannot be frozen. Unused budget is divided as
/// well, so that the total stays bounded if the use of an experiment grows.
fn allocate(limit: CpuShare, order: &[(&ThermalLoad, CpuShare)]) -> Allocation {
    let mut shares: Vec<CpuShare> =
        order.iter().map(|(load, demand)| floor(load, *demand)).collect();
    let mut floors: CpuShare = shares.iter().copied().sum();
    let mut suspended_count = 0;
    while floors > limit && suspended_count < order.len() {
        floors = floors - shares[suspended_count];
        suspended_count += 1;
    }
    let mut left = (limit - floors).max(CpuShare::ZERO);
    let demand = |index: usize| order[index].1;
    let may_take = |index: usize| order[index].0.quota().max(order[index].1);
    for bound in [&demand as &dyn Fn(usize) -> CpuShare, &may_take] {
        for index in (suspended_count..order.len()).rev() {
            let more = (bound(index) - shares[index]).min(left).max(CpuShare::ZERO);
            left = left - more;
            shares[index] = shares[index] + more;
        }
    }
    let mut allocation = Allocation::default();
    for (index, ((load, demand), share)) in order.iter().zip(shares).enumerate() {
        let mut restraint = Restraint { cap: cap(load, share), activity: Activity::Running };
        if index < suspended_count {
            // Capped at its floor as well, so that a thaw does not release everything at once.
            restraint = suspended(restraint, load);
        } else if load.can_cap_gpu {
            let share = share.ratio_to(*demand);
            allocation.gpu_share =
                Some(allocation.gpu_share.map_or(share, |most: f64| most.max(share)));
        }
        allocation.each.insert(load.experiment.clone(), restraint);
    }
    allocation
}

fn cap(load: &ThermalLoad, share: CpuShare) -> Option<Percent> {
    (load.can_cap && share < load.quota() * WHOLE).then(|| share.quota())
}

/// Returns the restraint with the experiment frozen, or stopped if it cannot be frozen.
fn suspended(restraint: Restraint, load: &ThermalLoad) -> Restraint {
    let stop = Activity::Stopping(StopUrgency::Graceful);
    let activity = if load.can_freeze { Activity::Frozen } else { stop };
    Restraint { activity: restraint.activity.max(activity), ..restraint }
}

/// Returns the least processor time that is left to a running experiment with this demand.
fn floor(load: &ThermalLoad, demand: CpuShare) -> CpuShare {
    match (load.can_cap, load.can_cap_gpu) {
        (false, true) => demand * GPU_FLOOR,
        (can_cap, _) => floor_for(demand, can_cap),
    }
}

/// Returns the least processor time for a demand, if only the possibility of a cap is known.
pub(super) fn floor_for(demand: CpuShare, can_cap: bool) -> CpuShare {
    if can_cap { (demand * FLOOR.0).min(FLOOR.1) } else { demand * UNCAPPED_FLOOR }
}

/// The actions that lead from the restraints in force to planned ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct RestraintPlan {
    /// Actions that restrain experiments more, in [order](restraint_order), and then the GPU's clock.
    tightening: Vec<ThermalAction>,
    /// Actions that restrain the GPU's clock less, and then experiments, in reverse order.
    loosening: Vec<ThermalAction>,
}

impl RestraintPlan {
    /// Finds the actions. For experiments in `failed` actions are returned even if their restraint stays.
    fn new(
        order: &[&ThermalLoad],
        current: &Restraints,
        planned: &Restraints,
        failed: &BTreeSet<ExperimentId>,
    ) -> Self {
        let mut plan = Self::default();
        for load in order {
            let id = &load.experiment;
            let (from, to) = (current.restraint(id), planned.restraint(id));
            plan.change(id, from, to, failed.contains(id));
        }
        // The GPU is tightened last and loosened first, because its clock affects all experiments.
        plan.change_gpu(current.gpu, planned.gpu);
        plan.loosening.reverse();
        plan
    }

    /// Returns the actions in the order in which they are carried out: those that tighten come first.
    pub(super) fn into_actions(self) -> impl Iterator<Item = ThermalAction> {
        self.tightening.into_iter().chain(self.loosening)
    }

    /// Adds the changes of one experiment; those that loosen are added in reverse.
    fn change(&mut self, id: &ExperimentId, from: Restraint, to: Restraint, has_failed: bool) {
        let action = |change| ThermalAction::restrain(id, change);
        if let Activity::Stopping(urgency) = to.activity {
            if from.activity != to.activity || has_failed {
                self.tightening.push(action(RestraintChange::Stop(urgency)));
            }
            // A stop ends all other restraints.
            return;
        }
        match (from.cap, to.cap) {
            (_, Some(cap)) if from.cap != to.cap || has_failed => {
                let is_looser = from.cap.is_some_and(|from| from < cap);
                let list = if is_looser { &mut self.loosening } else { &mut self.tightening };
                list.push(action(RestraintChange::Cap(cap)));
            }
            (Some(_), None) => self.loosening.push(action(RestraintChange::Uncap)),
            (None | Some(_), _) => {}
        }
        if from.activity == Activity::Frozen && to.activity == Activity::Running {
            self.loosening.push(action(RestraintChange::Thaw));
        }
        if to.activity == Activity::Frozen && (from.activity != Activity::Frozen || has_failed) {
            self.tightening.push(action(RestraintChange::Freeze));
        }
    }

    fn change_gpu(&mut self, from: Option<Hertz>, to: Option<Hertz>) {
        match (from, to) {
            (from, Some(to)) if from.is_none_or(|from| to < from) => {
                self.tightening.push(ThermalAction::CapGpu { to });
            }
            (from, Some(to)) if from != Some(to) => {
                self.loosening.push(ThermalAction::CapGpu { to });
            }
            (Some(_), None) => self.loosening.push(ThermalAction::UncapGpu),
            (None, None) | (_, Some(_)) => {}
        }
    }
}

/// Returns the experiments in the order in which they are restrained. Among equals, those that are restrained
/// already come first, so that a new, younger experiment loosens no restraint.
fn restraint_order<'a>(loads: &'a [ThermalLoad], current: &Restraints) -> Vec<&'a ThermalLoad> {
    let mut order: Vec<&ThermalLoad> = loads.iter().collect();
    order.sort_by_key(|load| {
        let restraint = current.restraint(&load.experiment);
        let is_capped = restraint.cap.is_some();
        let degree = (Reverse(restraint.activity), Reverse(is_capped));
        (load.priority, degree, Reverse(load.since), &load.experiment)
    });
    order
}

/// State between two plans.
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

    /// Takes in which experiments are up, what they have used, and the limit of the GPU's clock, which other programs
    /// can set as well. Returns the experiments in the order in which they are restrained.
    pub(super) fn update<'a>(
        &mut self,
        at: Uptime,
        loads: &'a [ThermalLoad],
        gpu: Option<GpuClockReading<'_>>,
        is_budget: bool,
    ) -> Vec<&'a ThermalLoad> {
        let ids: BTreeSet<&ExperimentId> = loads.iter().map(|load| &load.experiment).collect();
        self.current.each.retain(|id, _| ids.contains(id));
        self.failed.retain(|id| ids.contains(id));
        self.suspended.retain(|id, _| ids.contains(id));
        let order = restraint_order(loads, &self.current);
        self.current.gpu = gpu.and_then(|gpu| gpu.bound);
        self.demands.measure(at, loads, is_budget, &self.current);
        order
    }

    /// Forgets the caps of experiments on which caps turned out to have no effect: there is nothing to lift.
    /// Returns whether there were any.
    pub(super) fn forget_ineffective_caps(&mut self, loads: &[ThermalLoad]) -> bool {
        let mut has_any = false;
        for load in loads.iter().filter(|load| !load.can_cap) {
            let Some(restraint) = self.current.each.get_mut(&load.experiment) else { continue };
            has_any |= restraint.cap.take().is_some();
            self.failed.remove(&load.experiment);
        }
        self.current.each.retain(|_, restraint| !restraint.is_empty());
        has_any
    }

    /// Suspends the experiments for which it is too hot by their own limit, until it is cool for them.
    pub(super) fn suspend_over_own_limit(
        &mut self,
        at: Uptime,
        order: &[&ThermalLoad],
        trend: &TemperatureTrend,
    ) {
        for load in order {
            let since = self.suspended.get(&load.experiment);
            let stays = since.is_some_and(|since| at - *since < MIN_SUSPENSION);
            let limit = load.max_celsius.map(Temperature::from);
            if limit.is_some_and(|limit| trend.after(LEAD) >= limit) {
                self.suspended.entry(load.experiment.clone()).or_insert(at);
            } else if !stays && limit.is_none_or(|limit| trend.smoothed <= limit - COOL_BELOW) {
                self.suspended.remove(&load.experiment);
            }
        }
    }

    /// Stops every experiment, and returns the actions.
    pub(super) fn stop_all(&mut self, order: &[&ThermalLoad]) -> RestraintPlan {
        let stopped = Restraint { cap: None, activity: Activity::Stopping(StopUrgency::Critical) };
        let each = order.iter().map(|load| (load.experiment.clone(), stopped)).collect();
        self.put_in_force(order, Restraints { each, gpu: self.current.gpu })
    }

    /// Lifts all restraints, and returns the actions.
    pub(super) fn lift_all(&mut self, order: &[&ThermalLoad]) -> RestraintPlan {
        self.put_in_force(order, Restraints::default())
    }

    /// Leaves the restraints as they are, and returns the actions that have failed and are due again.
    pub(super) fn keep_all(&mut self, order: &[&ThermalLoad]) -> RestraintPlan {
        self.put_in_force(order, self.current.clone())
    }

    /// Returns the sum of the CPU quotas of all experiments that are not stopping.
    pub(super) fn total_quota(&self, order: &[&ThermalLoad]) -> CpuShare {
        self.not_stopping(order).map(ThermalLoad::quota).sum()
    }

    /// Returns the sum of the demands of all experiments that are not stopping.
    pub(super) fn demand(&self, order: &[&ThermalLoad]) -> CpuShare {
        self.not_stopping(order).map(|load| self.demands.demand(load)).sum()
    }

    /// Returns the smallest budget under which no running experiment has to be suspended.
    pub(super) fn floors(&self, order: &[&ThermalLoad]) -> CpuShare {
        let runs =
            |load: &&&ThermalLoad| self.restraint(&load.experiment).activity == Activity::Running;
        order.iter().filter(runs).map(|load| floor(load, self.demands.demand(load))).sum()
    }

    /// Returns the processor time that the restraints in force allow, if there are any.
    pub(super) fn allowance(
        &self,
        order: &[&ThermalLoad],
        gpu: Option<GpuClockReading<'_>>,
    ) -> Option<CpuShare> {
        let gpu_share = gpu.map_or(1.0, GpuClockReading::share);
        let allowed = order.iter().map(|load| match self.restraint(&load.experiment) {
            Restraint { activity: Activity::Running, cap } => {
                let by_gpu = if load.can_cap_gpu { gpu_share } else { 1.0 };
                cap.map_or(CpuShare::UNLIMITED, CpuShare::from).min(load.quota() * by_gpu)
            }
            Restraint { activity: Activity::Frozen | Activity::Stopping(_), .. } => CpuShare::ZERO,
        });
        (!self.is_empty()).then(|| allowed.sum())
    }

    /// Notes that a change could not be carried out.
    pub(super) fn failed(&mut self, experiment: &ExperimentId, change: RestraintChange) {
        match change {
            RestraintChange::Cap(_) | RestraintChange::Freeze | RestraintChange::Stop(_) => {
                self.failed.insert(experiment.clone());
            }
            RestraintChange::Thaw => {
                self.current.each.entry(experiment.clone()).or_default().activity =
                    Activity::Frozen;
            }
            RestraintChange::Uncap => {
                // The value of the cap does not matter: it is to be lifted.
                self.current.each.entry(experiment.clone()).or_default().cap =
                    Some(Percent::HUNDRED);
            }
        }
    }

    /// Returns the experiments that were not told to stop.
    fn not_stopping<'a>(&self, order: &[&'a ThermalLoad]) -> impl Iterator<Item = &'a ThermalLoad> {
        let is_stopping = |load: &&ThermalLoad| self.restraint(&load.experiment).is_stopping();
        order.iter().copied().filter(move |load| !is_stopping(load))
    }
}
