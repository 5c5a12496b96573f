//! Who gets how much of the budget: those with the highest priority first.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use bij_core::{ExperimentId, Haste, Percent};

use super::Living;

/// What is in force for one experiment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restraint {
    /// The bound on its processor time, 100 % is one processor; it stays while it is frozen.
    pub cap: Option<Percent>,
    /// Whether its processes run.
    pub motion: Motion,
}

/// Whether an experiment's processes run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Motion {
    /// They do.
    #[default]
    Running,
    /// They are not scheduled.
    Frozen,
    /// They were told to leave.
    Stopping(Haste),
}

impl Restraint {
    /// Whether nothing is in force.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Whether this holds back less than the other does, in anything.
    pub(super) fn is_looser_than(self, other: Self) -> bool {
        let share = |cap: Option<Percent>| cap.map_or(u64::MAX, Percent::permyriad);
        self.motion < other.motion || share(self.cap) > share(other.cap)
    }

    /// As much as there is short of a stop, or that where it cannot be frozen.
    pub(super) fn out_of_the_way(self, one: &Living) -> Self {
        let motion = if one.can_freeze { Motion::Frozen } else { Motion::Stopping(Haste::Grace) };
        Self { motion: self.motion.max(motion), ..self }
    }
}

/// A cap leaves this share, or this much of one processor if that is less: enough to answer a watchdog
/// and to write a checkpoint, and so little that it bites who keeps a GPU busy with one thread.
const FLOOR: (f64, f64) = (0.1, 20.0);
/// One that the GPU's clock alone can hold back has this share: below it little is saved by going on.
const GPU_FLOOR: f64 = 0.25;
/// One that cannot be capped has all or nothing: all as long as the budget has half for it.
const UNCAPPED_FLOOR: f64 = 0.5;
/// A cap above this share is none.
pub(super) const WHOLE: f64 = 0.98;

/// Who gets how much.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Given {
    /// What that comes to for each.
    pub(super) each: BTreeMap<ExperimentId, Restraint>,
    /// The largest share of what they take that somebody gets who uses the GPU and runs: its clock
    /// holds back nobody more than that.
    pub(super) gpu_share: Option<f64>,
}

/// Sorts: who is held back first goes first. Of equals those are first that are held back already, so
/// that nobody is let go for that somebody younger has come.
pub(super) fn in_order<'a>(
    living: &'a [Living],
    in_force: &BTreeMap<ExperimentId, Restraint>,
) -> Vec<&'a Living> {
    let mut order: Vec<&Living> = living.iter().collect();
    order.sort_by_key(|one| {
        let restraint = in_force.get(&one.experiment).copied().unwrap_or_default();
        let is_capped = restraint.cap.is_some();
        let how_far = (Reverse(restraint.motion), Reverse(is_capped));
        (one.priority, how_far, Reverse(one.since), &one.experiment)
    });
    order
}

/// Gives each of those in [order](in_order) what the budget has for it, by what each takes.
///
/// Those last in order get what they take as long as a floor is left for the others. Where not even
/// the floors fit, those first in order are frozen, or stopped if they cannot be frozen. What nobody takes
/// is divided as well, so that all together cannot take more if one of them comes to take more.
pub(super) fn spread(limit: f64, order: &[(&Living, f64)]) -> Given {
    let mut floors: f64 = order.iter().map(|(one, takes)| floor(one, *takes)).sum();
    let mut out = 0;
    while floors > limit && out < order.len() {
        floors -= floor(order[out].0, order[out].1);
        out += 1;
    }
    let mut left = (limit - floors).max(0.0);
    let mut shares: Vec<f64> = order.iter().map(|(one, takes)| floor(one, *takes)).collect();
    let takes = |place: usize| order[place].1;
    let may_take = |place: usize| cpu(order[place].0).max(order[place].1);
    for upto in [&takes as &dyn Fn(usize) -> f64, &may_take] {
        for place in (out..order.len()).rev() {
            let more = (upto(place) - shares[place]).min(left).max(0.0);
            left -= more;
            shares[place] += more;
        }
    }
    let mut given = Given::default();
    for (place, ((one, takes), share)) in order.iter().zip(shares).enumerate() {
        let mut restraint = Restraint { cap: cap(one, share), motion: Motion::Running };
        if place < out {
            // At its floor first, so that a thaw does not let go of everything at once.
            restraint = restraint.out_of_the_way(one);
        } else if one.can_cap_gpu {
            let share = share / takes.max(f64::MIN_POSITIVE);
            given.gpu_share = Some(given.gpu_share.map_or(share, |most: f64| most.max(share)));
        }
        given.each.insert(one.experiment.clone(), restraint);
    }
    given
}

fn cap(one: &Living, share: f64) -> Option<Percent> {
    (one.can_cap && share < cpu(one) * WHOLE).then(|| whole_percent(share))
}

/// The least that one is left while it runs that takes so much.
pub(super) fn floor(one: &Living, takes: f64) -> f64 {
    match (one.can_cap, one.can_cap_gpu) {
        (false, true) => takes * GPU_FLOOR,
        (can_cap, _) => floor_of(takes, can_cap),
    }
}

/// The same where nothing else is known.
pub(super) fn floor_of(takes: f64, can_cap: bool) -> f64 {
    if can_cap { (takes * FLOOR.0).min(FLOOR.1) } else { takes * UNCAPPED_FLOOR }
}

/// The processor time that it may take, in percent of one processor.
pub(super) fn cpu(one: &Living) -> f64 {
    percent(one.cpu)
}

/// A percentage as a number.
pub(super) fn percent(percent: Percent) -> f64 {
    // More than that is no machine's, and every smaller number is exact.
    f64::from(u32::try_from(percent.permyriad()).unwrap_or(u32::MAX)) / 100.0
}

/// At least one percent: systemd takes no smaller quota for one.
fn whole_percent(number: f64) -> Percent {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded before")]
    let whole = number.round().clamp(1.0, f64::from(u32::MAX / 100)) as u32;
    Percent::new(whole)
}
