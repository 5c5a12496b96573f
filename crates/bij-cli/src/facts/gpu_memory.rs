//! GPU memory of experiments, on a board where GPU and processors share the memory.

use std::collections::BTreeMap;
use std::path::Path;

use bij_core::port::Board;
use bij_core::{Bytes, ExperimentId, UnitStatus};
use bij_jetson::{Hardware, gpu_memory_by_experiment};

use super::ExperimentFacts;
use crate::context::Context;
use crate::queue_source::QueueSource;

/// The GPU memory of all experiments.
enum GpuMemory {
    Used(BTreeMap<ExperimentId, Bytes>),
    /// The reason why it is not known.
    Unknown(String),
    /// The GPU has memory of its own, or there is none.
    NotShared,
}

/// Adds its GPU memory to each experiment that has processes. The driver answers root only, so the
/// coordinator is asked, and the driver only where no coordinator runs.
pub(crate) async fn add(context: &Context, source: &QueueSource, all: &mut [ExperimentFacts]) {
    let is_up = |facts: &ExperimentFacts| facts.unit.as_ref().is_some_and(has_processes);
    if !all.iter().any(is_up) {
        return;
    }
    let memory = match source {
        QueueSource::Coordinator(client) => match client.status().await {
            Ok(status) => match (status.gpu_memory, status.gpu_memory_why) {
                (Some(used), _) => GpuMemory::Used(used),
                (None, Some(why)) => GpuMemory::Unknown(why),
                (None, None) => GpuMemory::NotShared,
            },
            Err(error) => GpuMemory::Unknown(error.to_string()),
        },
        QueueSource::Store(_) => ask_driver(&context.root),
    };
    for facts in all.iter_mut().filter(|facts| is_up(facts)) {
        facts.gpu = Some(match &memory {
            GpuMemory::Used(used) => {
                GpuShare::Used(used.get(&facts.id).copied().unwrap_or_default())
            }
            GpuMemory::Unknown(why) => GpuShare::Unknown(why.clone()),
            GpuMemory::NotShared => GpuShare::NotShared,
        });
    }
}

fn has_processes(unit: &UnitStatus) -> bool {
    !unit.active_state.is_down() && !unit.sub_state.is_waiting_for_restart()
}

fn ask_driver(root: &Path) -> GpuMemory {
    // A root without a machine, as of an installation that is being prepared, has no GPU.
    let Ok(machine) = Hardware::open(root) else { return GpuMemory::NotShared };
    if !Board::sample(&machine).shared_with_gpu {
        return GpuMemory::NotShared;
    }
    match machine.gpu_memory() {
        Ok(by_pid) => GpuMemory::Used(gpu_memory_by_experiment(&by_pid, "/proc")),
        Err(why) => {
            GpuMemory::Unknown(format!("no coordinator runs, and the GPU's driver says: {why}"))
        }
    }
}

/// The GPU memory of an experiment that is up, on a board where GPU and processors share the memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum GpuShare {
    /// The amount, which no control group counts.
    Used(Bytes),
    /// The amount is not known, for this reason.
    Unknown(String),
    /// The GPU has memory of its own, or there is no GPU.
    NotShared,
}

impl GpuShare {
    pub(crate) const fn bytes(&self) -> Option<Bytes> {
        match self {
            Self::Used(bytes) => Some(*bytes),
            Self::Unknown(_) | Self::NotShared => None,
        }
    }

    /// Returns the reason why there is no amount.
    pub(crate) fn why(&self) -> Option<&str> {
        match self {
            Self::Used(_) => None,
            Self::Unknown(why) => Some(why),
            Self::NotShared => Some("no GPU shares the memory of this machine"),
        }
    }

    /// Returns the line of `bij status`: `2.0G; 3.2G in all`, or why the amount is not known; `None` if there is
    /// nothing to show.
    pub(crate) fn line(&self, memory_current: Option<u64>) -> Option<String> {
        match self {
            Self::Used(bytes) if bytes.get() == 0 => None,
            Self::Used(bytes) => {
                let all = memory_current.and_then(|more| bytes.checked_add(Bytes::new(more)));
                let all = all.map_or_else(String::new, |all| format!("; {all} in all"));
                Some(format!("{bytes}{all}"))
            }
            Self::Unknown(why) => Some(format!("unknown: {why}")),
            Self::NotShared => None,
        }
    }
}
