//! What experiments have of the GPU's memory, on a board where it is the machine's own.

use std::collections::BTreeMap;
use std::path::Path;

use bij_core::port::Board;
use bij_core::{Bytes, ExperimentId, UnitStatus};
use bij_jetson::{Machine, gpu_memory_by_experiment};

use crate::context::Context;
use crate::source::Source;
use crate::view::{Facts, GpuShare};

/// What is known of all of them.
enum Told {
    Used(BTreeMap<ExperimentId, Bytes>),
    Unknown(String),
    /// The GPU has memory of its own.
    Elsewhere,
}

/// Adds to each that lives what it has. The driver tells root alone, so the coordinator is asked; where
/// there is none, the driver.
pub(crate) async fn look(context: &Context, source: &Source, all: &mut [Facts]) {
    let lives = |facts: &Facts| facts.unit.as_ref().is_some_and(has_processes);
    if !all.iter().any(lives) {
        return;
    }
    let told = match source {
        Source::Coordinator(client) => match client.status().await {
            Ok(status) => match (status.gpu_memory, status.gpu_memory_why) {
                (Some(used), _) => Told::Used(used),
                (None, Some(why)) => Told::Unknown(why),
                (None, None) => Told::Elsewhere,
            },
            Err(error) => Told::Unknown(error.to_string()),
        },
        Source::Store(_) => ask_driver(&context.root),
    };
    for facts in all.iter_mut().filter(|facts| lives(facts)) {
        facts.gpu = Some(match &told {
            Told::Used(used) => GpuShare::Has(used.get(&facts.id).copied().unwrap_or_default()),
            Told::Unknown(why) => GpuShare::Unknown(why.clone()),
            Told::Elsewhere => GpuShare::Elsewhere,
        });
    }
}

fn has_processes(unit: &UnitStatus) -> bool {
    !unit.active_state.is_down() && !unit.sub_state.starts_with("auto-restart")
}

fn ask_driver(root: &Path) -> Told {
    let machine = Machine::below(root);
    if !Board::sample(&machine).shared_with_gpu {
        return Told::Elsewhere;
    }
    match machine.memory().gpu_by_pid {
        Ok(by_process) => Told::Used(gpu_memory_by_experiment(&by_process, Path::new("/proc"))),
        Err(why) => Told::Unknown(format!("no coordinator runs, and the GPU's driver says: {why}")),
    }
}
