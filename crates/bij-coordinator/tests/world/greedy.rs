//! An experiment exceeds its limit of the GPU's memory.

use std::collections::BTreeMap;

use bij_core::Bytes;

use crate::script::GPU_MEMORY;
use crate::world::World;

impl World {
    /// The coordinator is told what experiments have of the GPU's memory. That stays so in all attempts of
    /// one that is greedy, until it is told otherwise.
    pub(crate) fn tell_gpu_memory(&mut self) {
        let too_much = Bytes::new(2 * GPU_MEMORY.get());
        let used: BTreeMap<_, _> = self.greedy.iter().map(|id| (id.clone(), too_much)).collect();
        self.ask(|coordinator, now| {
            coordinator.gpu_memory(Ok(used), now);
            Ok(())
        });
    }
}
