//! Reports the GPU memory of experiments to the loop, on a board whose GPU shares the machine's memory.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use bij_coordinator::{Handle, Ports};
use bij_core::port::Board;
use bij_core::{Bytes, ExperimentId};
use bij_jetson::{Hardware, Reading, gpu_memory_by_experiment};
use tokio::time::sleep;

/// Interval of readings while an experiment runs.
const INTERVAL: Duration = Duration::from_secs(2);
/// Interval of readings while the driver reports nothing.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// Reads the GPU memory of experiments.
#[derive(Clone)]
pub(super) struct GpuWatch {
    pub(super) machine: Hardware,
    /// `/proc` of the machine whose processes run, even if the board is read from another tree.
    pub(super) processes: PathBuf,
}

impl GpuWatch {
    /// Reports while an experiment runs, and never returns.
    pub(super) async fn serve<P: Ports>(&self, handle: &Handle<P>) -> Infallible {
        let mut running = handle.running_experiments();
        let (mut is_logged, mut failed_before) = (false, false);
        if !self.is_needed().await {
            return std::future::pending().await;
        }
        loop {
            // An error means that the loop has ended, and this task is about to be dropped.
            let is_busy = running.wait_for(|running| !running.loads.is_empty()).await.is_ok();
            let used = if is_busy { self.read_usage().await } else { None };
            let pause = match used {
                Some(Ok(used)) => {
                    (is_logged, failed_before) = (false, false);
                    let _ = handle.gpu_memory(Ok(used)).await;
                    INTERVAL
                }
                // One failure may come from a process that has just started or ended.
                Some(Err(_)) if !std::mem::replace(&mut failed_before, true) => INTERVAL,
                Some(Err(why)) => {
                    if !std::mem::replace(&mut is_logged, true) {
                        log::warn!("limits of GPU memory are not enforced: {why}");
                    }
                    let why = format!("the GPU's driver does not report it: {why}");
                    let _ = handle.gpu_memory(Err(why)).await;
                    RETRY_AFTER
                }
                None => INTERVAL,
            };
            sleep(pause).await;
        }
    }

    async fn is_needed(&self) -> bool {
        let machine = self.machine.clone();
        let is_shared =
            tokio::task::spawn_blocking(move || Board::sample(&machine).shared_with_gpu);
        is_shared.await.unwrap_or(false)
    }

    /// Reads the usage on a blocking thread; `None` if the runtime is shutting down.
    async fn read_usage(&self) -> Option<Reading<BTreeMap<ExperimentId, Bytes>>> {
        let watch = self.clone();
        let read = move || {
            let by_pid = watch.machine.gpu_memory()?;
            Ok(gpu_memory_by_experiment(&by_pid, &watch.processes))
        };
        tokio::task::spawn_blocking(read).await.ok()
    }
}
