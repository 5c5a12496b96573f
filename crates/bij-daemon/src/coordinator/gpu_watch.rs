//! Tells the loop what experiments have of the GPU's memory, on a board where it is the machine's own.
//!
//! The driver tells it by process, and the kernel the control group of each: so whatever an experiment
//! has started counts.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bij_coordinator::{Handle, Ports};
use bij_core::port::Board;
use bij_core::{Bytes, ExperimentId};
use bij_jetson::{Machine, Reading};
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
        let mut lives = handle.lives();
        let mut is_told = false;
        if !self.is_needed().await {
            return std::future::pending().await;
        }
        loop {
            // Nobody is left to be told once the loop has ended; what waits for this ends then.
            let anything = lives.wait_for(|lives| !lives.living.is_empty()).await.is_ok();
            let used = if anything { self.look().await } else { None };
            let pause = match used {
                Some(Ok(used)) => {
                    is_told = false;
                    let _ = handle.gpu_memory(used).await;
                    EVERY
                }
                Some(Err(why)) => {
                    if !std::mem::replace(&mut is_told, true) {
                        log::warn!("nobody's share of the GPU's memory is guarded: {why}");
                    }
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
            Ok(by_experiment(&by_process, &watch.processes))
        };
        tokio::task::spawn_blocking(look).await.ok()
    }
}

/// What each experiment has, all its processes together.
fn by_experiment(
    by_process: &BTreeMap<u32, Bytes>,
    processes: &Path,
) -> BTreeMap<ExperimentId, Bytes> {
    let mut used: BTreeMap<ExperimentId, Bytes> = BTreeMap::new();
    for (pid, bytes) in by_process {
        // One that has gone meanwhile has nothing any more.
        let groups = fs::read(processes.join(pid.to_string()).join("cgroup")).unwrap_or_default();
        if let Some(id) = experiment_in(&String::from_utf8_lossy(&groups)) {
            let sum = used.entry(id).or_default();
            *sum = sum.checked_add(*bytes).unwrap_or(Bytes::new(u64::MAX));
        }
    }
    used
}

/// Whose control group a process is in, from its `/proc/PID/cgroup` (cgroups(7)). The experiments of a
/// user's own service manager are another coordinator's, and may have the same names.
fn experiment_in(groups: &str) -> Option<ExperimentId> {
    let of_system = groups.lines().filter(|line| !line.contains("/user.slice/"));
    of_system.flat_map(|line| line.split('/')).find_map(ExperimentId::from_unit_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_processes_of_an_experiment_count_and_strangers_do_not() {
        let proc = tempfile::tempdir().unwrap();
        let put = |pid: u32, groups: &str| {
            let directory = proc.path().join(pid.to_string());
            fs::create_dir(&directory).unwrap();
            fs::write(directory.join("cgroup"), groups).unwrap();
        };
        put(1, "0::/init.scope\n");
        put(7, "0::/brain.slice/brain-experiment@a.service\n");
        put(8, "0::/brain.slice/brain-experiment@a.service/worker\n");
        put(9, "9:memory:/brain.slice/brain-experiment@b.service\n0::/\n");
        let user = "0::/user.slice/user-1000.slice/user@1000.service/brain.slice";
        put(10, &format!("{user}/brain-experiment@a.service\n"));
        let by_process = [1, 7, 8, 9, 10, 11].map(|pid| (pid, Bytes::new(u64::from(pid)))).into();
        let all = by_experiment(&by_process, proc.path());
        let told: Vec<_> = all.iter().map(|(id, used)| (id.as_str(), used.get())).collect();
        assert_eq!(told, [("a", 15), ("b", 9)]);
    }
}
