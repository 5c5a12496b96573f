//! From what is in force to what should be, step by step.

use std::collections::{BTreeMap, BTreeSet};

use bij_core::{ExperimentId, Hertz};

use super::reins::Wanted;
use super::spread::{Motion, Restraint};
use super::{HeatStep, Living};

/// The steps: first what holds back, in [order](super::spread::in_order), then what lets go, in
/// reverse. Those in `again` are told what should be though it is said to be in force.
pub(super) fn between(
    order: &[&Living],
    from: &Wanted,
    to: &Wanted,
    again: &BTreeSet<ExperimentId>,
) -> Vec<HeatStep> {
    let mut down = Vec::new();
    let mut up = Vec::new();
    for one in order {
        let id = &one.experiment;
        let restraint = |of: &BTreeMap<ExperimentId, Restraint>| of.get(id).copied();
        let from = restraint(&from.each).unwrap_or_default();
        let to = restraint(&to.each).unwrap_or_default();
        let again = again.contains(id);
        let (holds, lets_go) = of_one(id, from, to, again);
        down.extend(holds);
        // They are turned round as a whole, so each experiment's own are put in backwards.
        up.extend(lets_go.into_iter().rev());
    }
    // The GPU comes last and goes first: it is for all of them.
    let (slows, lets_go) = of_gpu(from.gpu, to.gpu);
    down.extend(slows);
    down.extend(lets_go);
    up.reverse();
    down.extend(up);
    down
}

/// What slows the GPU down, and what lets it go.
fn of_gpu(from: Option<Hertz>, to: Option<Hertz>) -> (Option<HeatStep>, Option<HeatStep>) {
    match (from, to) {
        (from, Some(to)) if from.is_none_or(|from| to < from) => {
            (Some(HeatStep::CapGpu { to }), None)
        }
        (from, Some(to)) => (None, (from != Some(to)).then_some(HeatStep::CapGpu { to })),
        (Some(_), None) => (None, Some(HeatStep::UncapGpu)),
        (None, None) => (None, None),
    }
}

/// What holds one back and what lets it go, each in the order in which it is to be done.
fn of_one(
    id: &ExperimentId,
    from: Restraint,
    to: Restraint,
    again: bool,
) -> (Vec<HeatStep>, Vec<HeatStep>) {
    let experiment = || id.clone();
    let (mut holds, mut lets_go) = (Vec::new(), Vec::new());
    if let Motion::Stopping(haste) = to.motion {
        if from.motion != to.motion || again {
            holds.push(HeatStep::Stop { experiment: experiment(), haste });
        }
        // Whatever else is in force ends with it.
        return (holds, lets_go);
    }
    if from.motion == Motion::Frozen && to.motion == Motion::Running {
        lets_go.push(HeatStep::Thaw { experiment: experiment() });
    }
    match (from.cap, to.cap) {
        (_, Some(cap)) if from.cap != to.cap || again => {
            let is_looser = from.cap.is_some_and(|from| from < cap);
            let list = if is_looser { &mut lets_go } else { &mut holds };
            list.push(HeatStep::Cap { experiment: experiment(), to: cap });
        }
        (Some(_), None) => lets_go.push(HeatStep::Uncap { experiment: experiment() }),
        (None | Some(_), _) => {}
    }
    if to.motion == Motion::Frozen && (from.motion != Motion::Frozen || again) {
        holds.push(HeatStep::Freeze { experiment: experiment() });
    }
    (holds, lets_go)
}
