//! The GPU memory of each experiment, on a board whose GPU shares the machine's memory.
//!
//! The driver gives the memory of each process, and the kernel its control group, so all processes of an experiment
//! are counted.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bij_core::{Bytes, ExperimentId};

/// Adds up the GPU memory of each experiment from the memory of each process. `processes` is the `/proc` of those
/// processes.
pub fn gpu_memory_by_experiment(
    by_process: &BTreeMap<u32, Bytes>,
    processes: &Path,
) -> BTreeMap<ExperimentId, Bytes> {
    let mut used: BTreeMap<ExperimentId, Bytes> = BTreeMap::new();
    for (pid, bytes) in by_process {
        // A process that has ended since has no control group and is skipped.
        let groups = fs::read(processes.join(pid.to_string()).join("cgroup")).unwrap_or_default();
        if let Some(id) = experiment_in(&String::from_utf8_lossy(&groups)) {
            let sum = used.entry(id).or_default();
            *sum = sum.checked_add(*bytes).unwrap_or(Bytes::new(u64::MAX));
        }
    }
    used
}

/// Returns the experiment whose control group a process is in, from its `/proc/PID/cgroup` (cgroups(7)). Experiments of
/// a user's service manager are excluded: they belong to another coordinator and may have the same ids.
fn experiment_in(groups: &str) -> Option<ExperimentId> {
    let of_system = groups.lines().filter(|line| !line.contains("/user.slice/"));
    of_system.flat_map(|line| line.split('/')).find_map(ExperimentId::from_unit_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_processes_of_an_experiment_count_and_others_do_not() {
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
        let all = gpu_memory_by_experiment(&by_process, proc.path());
        let sums: Vec<_> = all.iter().map(|(id, used)| (id.as_str(), used.get())).collect();
        assert_eq!(sums, [("a", 15), ("b", 9)]);
    }
}
