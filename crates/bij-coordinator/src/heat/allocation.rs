//! Divides the budget of processor time: experiments with the highest priority come first.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use bij_core::{ExperimentId, Haste, Percent};

use super::Living;

/// Restraint of one experiment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restraint {
    /// Cap of its processor time, where 100 % is one processor; it stays in place while frozen.
    pub cap: Option<Percent>,
    /// Whether its processes run.
    pub motion: Motion,
}

/// Whether an experiment's processes run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Motion {
    /// They run.
    #[default]
    Running,
    /// They are not scheduled.
    Frozen,
    /// They were told to stop.
    Stopping(Haste),
}

impl Restraint {
    /// Returns whether the experiment is unrestrained.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns whether this restrains less than `other`, in the cap or in the motion.
    pub(super) fn is_looser_than(self, other: Self) -> bool {
        let share = |cap: Option<Percent>| cap.map_or(u64::MAX, Percent::permyriad);
        self.motion < other.motion || share(self.cap) > share(other.cap)
    }

    /// Returns this restraint with the experiment frozen, or stopped if it cannot be frozen.
    pub(super) fn suspended(self, one: &Living) -> Self {
        let motion = if one.can_freeze { Motion::Frozen } else { Motion::Stopping(Haste::Grace) };
        Self { motion: self.motion.max(motion), ..self }
    }
}

/// Smallest cap: this share of the demand, or this percentage of one processor if that is less. It is enough
/// to answer a watchdog and write a checkpoint, and limits even one thread that keeps a GPU busy.
const FLOOR: (f64, f64) = (0.1, 20.0);
/// Smallest share of an experiment that only the GPU's clock restrains; below it, little is saved.
const GPU_FLOOR: f64 = 0.25;
/// Share of its demand that the budget must have for an experiment that cannot be capped; it runs in full
/// or not at all.
const UNCAPPED_FLOOR: f64 = 0.5;
/// Share from which no cap is set.
pub(super) const WHOLE: f64 = 0.98;

/// Result of dividing a budget.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Allocation {
    /// Restraint of each experiment.
    pub(super) each: BTreeMap<ExperimentId, Restraint>,
    /// Largest share of its demand that any running experiment with the GPU gets; the clock may restrain
    /// none of them further.
    pub(super) gpu_share: Option<f64>,
}

/// Returns the experiments in the order in which they are restrained. Among equals, those that are restrained
/// already come first, so that a new, younger experiment loosens no restraint.
pub(super) fn restraint_order<'a>(
    living: &'a [Living],
    in_force: &BTreeMap<ExperimentId, Restraint>,
) -> Vec<&'a Living> {
    let mut order: Vec<&Living> = living.iter().collect();
    order.sort_by_key(|one| {
        let restraint = in_force.get(&one.experiment).copied().unwrap_or_default();
        let is_capped = restraint.cap.is_some();
        let degree = (Reverse(restraint.motion), Reverse(is_capped));
        (one.priority, degree, Reverse(one.since), &one.experiment)
    });
    order
}

/// Divides the budget among the experiments in [order](restraint_order), by their demands.
///
/// The last experiments in the order get their demand as long as a floor is left for the others. If not even
/// the floors fit, the first are frozen, or stopped if they cannot be frozen. Unused budget is divided as
/// well, so that the total stays bounded if the use of an experiment grows.
pub(super) fn allocate(limit: f64, order: &[(&Living, f64)]) -> Allocation {
    let mut floors: f64 = order.iter().map(|(one, demand)| floor(one, *demand)).sum();
    let mut suspended = 0;
    while floors > limit && suspended < order.len() {
        floors -= floor(order[suspended].0, order[suspended].1);
        suspended += 1;
    }
    let mut left = (limit - floors).max(0.0);
    let mut shares: Vec<f64> = order.iter().map(|(one, demand)| floor(one, *demand)).collect();
    let demand = |index: usize| order[index].1;
    let may_take = |index: usize| cpu(order[index].0).max(order[index].1);
    for bound in [&demand as &dyn Fn(usize) -> f64, &may_take] {
        for index in (suspended..order.len()).rev() {
            let more = (bound(index) - shares[index]).min(left).max(0.0);
            left -= more;
            shares[index] += more;
        }
    }
    let mut allocation = Allocation::default();
    for (index, ((one, demand), share)) in order.iter().zip(shares).enumerate() {
        let mut restraint = Restraint { cap: cap(one, share), motion: Motion::Running };
        if index < suspended {
            // Capped at its floor as well, so that a thaw does not release everything at once.
            restraint = restraint.suspended(one);
        } else if one.can_cap_gpu {
            let share = share / demand.max(f64::MIN_POSITIVE);
            allocation.gpu_share =
                Some(allocation.gpu_share.map_or(share, |most: f64| most.max(share)));
        }
        allocation.each.insert(one.experiment.clone(), restraint);
    }
    allocation
}

fn cap(one: &Living, share: f64) -> Option<Percent> {
    (one.can_cap && share < cpu(one) * WHOLE).then(|| whole_percent(share))
}

/// Returns the least processor time that is left to a running experiment with this demand.
pub(super) fn floor(one: &Living, demand: f64) -> f64 {
    match (one.can_cap, one.can_cap_gpu) {
        (false, true) => demand * GPU_FLOOR,
        (can_cap, _) => floor_for(demand, can_cap),
    }
}

/// Returns the least processor time for a demand, if only the possibility of a cap is known.
pub(super) fn floor_for(demand: f64, can_cap: bool) -> f64 {
    if can_cap { (demand * FLOOR.0).min(FLOOR.1) } else { demand * UNCAPPED_FLOOR }
}

/// Returns the CPU quota, in percent of one processor.
pub(super) fn cpu(one: &Living) -> f64 {
    percent(one.cpu)
}

/// Returns a percentage as a number.
pub(super) fn percent(percent: Percent) -> f64 {
    // Larger values exceed every machine, and smaller ones are exact.
    f64::from(u32::try_from(percent.permyriad()).unwrap_or(u32::MAX)) / 100.0
}

/// Rounds to a whole percentage of at least 1: systemd takes no smaller quota.
fn whole_percent(number: f64) -> Percent {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded before")]
    let whole = number.round().clamp(1.0, f64::from(u32::MAX / 100)) as u32;
    Percent::new(whole)
}
