//! Steps from one set of restraints to another.

use std::collections::{BTreeMap, BTreeSet};

use bij_core::{ExperimentId, Hertz};

use super::allocation::{Motion, Restraint};
use super::restraints::Restraints;
use super::{HeatStep, Living};

/// Returns the steps: first those that tighten, in [order](super::allocation::restraint_order), then those that
/// loosen, in reverse order. For experiments in `failed` steps are returned even if `from` equals `to`.
pub(super) fn between(
    order: &[&Living],
    from: &Restraints,
    to: &Restraints,
    failed: &BTreeSet<ExperimentId>,
) -> Vec<HeatStep> {
    let mut tighten = Vec::new();
    let mut loosen = Vec::new();
    for one in order {
        let id = &one.experiment;
        let restraint = |of: &BTreeMap<ExperimentId, Restraint>| of.get(id).copied();
        let from = restraint(&from.each).unwrap_or_default();
        let to = restraint(&to.each).unwrap_or_default();
        let has_failed = failed.contains(id);
        let (tightening, loosening) = steps_for_experiment(id, from, to, has_failed);
        tighten.extend(tightening);
        // The list is reversed as a whole below, so each experiment's steps are added in reverse.
        loosen.extend(loosening.into_iter().rev());
    }
    // The GPU is tightened last and loosened first, because its clock affects all experiments.
    let (tightening, loosening) = steps_for_gpu(from.gpu, to.gpu);
    tighten.extend(tightening);
    tighten.extend(loosening);
    loosen.reverse();
    tighten.extend(loosen);
    tighten
}

/// Returns the step that lowers the GPU's clock, and the one that raises it.
fn steps_for_gpu(from: Option<Hertz>, to: Option<Hertz>) -> (Option<HeatStep>, Option<HeatStep>) {
    match (from, to) {
        (from, Some(to)) if from.is_none_or(|from| to < from) => {
            (Some(HeatStep::CapGpu { to }), None)
        }
        (from, Some(to)) => (None, (from != Some(to)).then_some(HeatStep::CapGpu { to })),
        (Some(_), None) => (None, Some(HeatStep::UncapGpu)),
        (None, None) => (None, None),
    }
}

/// Returns the steps that tighten and those that loosen, each in the order in which they are carried out.
fn steps_for_experiment(
    id: &ExperimentId,
    from: Restraint,
    to: Restraint,
    has_failed: bool,
) -> (Vec<HeatStep>, Vec<HeatStep>) {
    let experiment = || id.clone();
    let (mut tighten, mut loosen) = (Vec::new(), Vec::new());
    if let Motion::Stopping(haste) = to.motion {
        if from.motion != to.motion || has_failed {
            tighten.push(HeatStep::Stop { experiment: experiment(), haste });
        }
        // A stop ends all other restraints.
        return (tighten, loosen);
    }
    if from.motion == Motion::Frozen && to.motion == Motion::Running {
        loosen.push(HeatStep::Thaw { experiment: experiment() });
    }
    match (from.cap, to.cap) {
        (_, Some(cap)) if from.cap != to.cap || has_failed => {
            let is_looser = from.cap.is_some_and(|from| from < cap);
            let list = if is_looser { &mut loosen } else { &mut tighten };
            list.push(HeatStep::Cap { experiment: experiment(), to: cap });
        }
        (Some(_), None) => loosen.push(HeatStep::Uncap { experiment: experiment() }),
        (None | Some(_), _) => {}
    }
    if to.motion == Motion::Frozen && (from.motion != Motion::Frozen || has_failed) {
        tighten.push(HeatStep::Freeze { experiment: experiment() });
    }
    (tighten, loosen)
}
