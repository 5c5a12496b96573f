//! Terms that a definition asks for.

use bij_core::Bytes;
use bij_core::port::Sample;
use bij_core::queue::{Claim, Condition, Dependencies, Dependency, RunRef, Terms};
use bij_core::spec::{After, ExperimentSpec};

/// Returns the terms of a run by its definition, on the machine that was sampled.
pub(crate) fn of_definition(spec: &ExperimentSpec, machine: &Sample) -> Terms {
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
        claim: Claim::from_spec(spec, memory_total(machine), machine.shared_with_gpu),
        not_before: None,
        after,
        now: false,
        power: spec.power.mode.clone(),
        clocks: spec.power.clocks,
    }
}

/// Returns the machine's memory; if it cannot be read, a value so large that no share of it fits.
pub(crate) fn memory_total(machine: &Sample) -> Bytes {
    machine.memory_total.clone().unwrap_or(Bytes::new(u64::MAX))
}
