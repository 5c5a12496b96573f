//! Tells the loop what experiments have of the GPU's memory, on a board where it is the machine's own.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use bij_coordinator::{Handle, Ports};
use bij_core::port::Board;
use bij_core::{Bytes, ExperimentId};
use bij_jetson::{Machine, Reading, gpu_memory_by_experiment};
use tokio::time::sleep;

/// How often is looked while something runs.
const EVERY: Duration = Duration::from_secs(2);
/// How soon is looked again where the driver does not tell.
const AGAIN_AFTER: Duration = Duration::from_secs(60);

/// Where is looked.
#[derive(Clone)]
pub(super) struct GpuWatch {
    pub(super) machine: Machine,
    /// `/proc`, whatever tree the board is read from: that is whose processes live.
    pub(super) processes: PathBuf,
}

impl GpuWatch {
    /// Tells as long as something runs, and never ends.
    pub(super) async fn tell<P: Ports>(&self, handle: &Handle<P>) -> Infallible {
        let mut lives = handle.running_experiments();
        let (mut is_told, mut failed_before) = (false, false);
        if !self.is_needed().await {
            return std::future::pending().await;
        }
        loop {
            // Nobody is left to be told once the loop has ended; what waits for this ends then.
            let anything = lives.wait_for(|lives| !lives.living.is_empty()).await.is_ok();
            let used = if anything { self.look().await } else { None };
            let pause = match used {
                Some(Ok(used)) => {
                    (is_told, failed_before) = (false, false);
                    let _ = handle.gpu_memory(Ok(used)).await;
                    EVERY
                }
                // A program that has just begun, or ended, may look like a driver that does not measure.
                Some(Err(_)) if !std::mem::replace(&mut failed_before, true) => EVERY,
                Some(Err(why)) => {
                    if !std::mem::replace(&mut is_told, true) {
                        log::warn!("the GPU memory of experiments is not guarded: {why}");
                    }
                    let why = format!("the GPU's driver does not tell: {why}");
                    let _ = handle.gpu_memory(Err(why)).await;
                    AGAIN_AFTER
                }
                None => EVERY,
            };
            sleep(pause).await;
        }
    }

    async fn is_needed(&self) -> bool {
        let machine = self.machine.clone();
        let asked = tokio::task::spawn_blocking(move || Board::sample(&machine).shared_with_gpu);
        asked.await.unwrap_or(false)
    }

    /// Looks once, where it holds up nobody; `None` if that was lost.
    async fn look(&self) -> Option<Reading<BTreeMap<ExperimentId, Bytes>>> {
        let watch = self.clone();
        let look = move || {
            let by_process = watch.machine.memory().gpu_by_pid?;
            Ok(gpu_memory_by_experiment(&by_process, &watch.processes))
        };
        tokio::task::spawn_blocking(look).await.ok()
    }
}
