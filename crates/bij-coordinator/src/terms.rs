//! Terms that a definition asks for.

use bij_core::Bytes;
use bij_core::queue::{Claim, Condition, Dependencies, Dependency, RunRef, Terms};
use bij_core::spec::{After, ExperimentSpec};

/// Returns the terms of a run by its definition, on a machine with `total` memory that its GPU shares or
/// not.
pub(crate) fn of_definition(spec: &ExperimentSpec, total: Bytes, shared_with_gpu: bool) -> Terms {
    let success = |id: &bij_core::ExperimentId| Dependency {
        condition: Condition::Success,
        on: RunRef::Newest(id.clone()),
    };
    let after = match &spec.queue.after {
        None => Dependencies::default(),
        Some(After::All(ids)) => Dependencies::All(ids.iter().map(success).collect()),
        Some(After::Any(ids)) => Dependencies::Any(ids.iter().map(success).collect()),
    };
    // The parser checks a group by the rule of ids, which is that of group names.
    let group = spec.queue.group.as_deref().and_then(|group| group.parse().ok());
    Terms {
        priority: spec.queue.priority,
        group: group.unwrap_or_default(),
        claim: Claim::from_spec(spec, total, shared_with_gpu),
        not_before: None,
        after,
        now: false,
        power: spec.power.mode.clone(),
        clocks: spec.power.clocks,
    }
}
