//! Whose the GPU's memory is, on a board where it is the machine's own.
//!
//! The driver tells it by process, and the kernel the control group of each: so whatever an experiment
//! has started counts.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bij_core::{Bytes, ExperimentId};

/// What each experiment has of the GPU's memory, all its processes together, from what each process has.
/// `processes` is a `/proc`: that of those processes.
pub fn gpu_memory_by_experiment(
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
        let all = gpu_memory_by_experiment(&by_process, proc.path());
        let told: Vec<_> = all.iter().map(|(id, used)| (id.as_str(), used.get())).collect();
        assert_eq!(told, [("a", 15), ("b", 9)]);
    }
}
