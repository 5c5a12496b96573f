//! What is told of the GPU's memory.

use std::collections::BTreeMap;

use bij_core::port::DefinitionSource;
use bij_core::{Bytes, ExperimentId};

use super::Coordinator;
use crate::policy::GpuUse;
use crate::{Now, Ports};

impl<P: Ports> Coordinator<P> {
    /// So much of the GPU's memory experiments have, on a board where it is the machine's own; one that
    /// is not named has none. To be told every few seconds while something runs.
    pub fn gpu_memory(&mut self, used: BTreeMap<ExperimentId, Bytes>, now: Now) {
        self.seen.now = now;
        let limited = used.into_iter().filter_map(|(id, used)| {
            let limit = self.gpu_memory_limit(&id)?;
            Some((id, GpuUse { used, limit }))
        });
        let limited: BTreeMap<ExperimentId, GpuUse> = limited.collect();
        let any_over = limited.values().any(|GpuUse { used, limit }| used > limit);
        self.seen.gpu_memory = limited;
        self.undecided |= any_over || !self.state.over_gpu_memory.is_empty();
    }

    /// `[gpu] memory`, as the definition says now: what is edited holds for one that runs as well.
    fn gpu_memory_limit(&self, id: &ExperimentId) -> Option<Bytes> {
        let found = self.adapters.definitions.find(id).ok()?;
        found.spec.gpu.memory?.resolve(self.memory_total()).at()
    }
}
