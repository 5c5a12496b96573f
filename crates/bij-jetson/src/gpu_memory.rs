//! GPU memory by process, as the driver of a Jetson's GPU counts it, and by the groups that processes belong to.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bij_core::{Bytes, ExperimentId};

use crate::{Files, GpuState, Reading, WhyNot, gpu};

const NVMAP: &str = "sys/kernel/debug/nvmap/iovmm/clients";

/// Returns the GPU memory of each process by PID, and the rows of the driver's table that could not be parsed.
pub(crate) fn read(files: &dyn Files) -> (Reading<BTreeMap<u32, Bytes>>, Vec<String>) {
    match read_table(files).map(|table| parse_table(&table)) {
        Ok((sizes, passed_over)) => {
            (sizes.and_then(|sizes| check_sizes(files, sizes)), passed_over)
        }
        Err(why) => (Err(why), Vec::new()),
    }
}

/// Parses the table of nvmap, `CLIENT PROCESS PID SIZE`, and returns the size per process and the rows that could not
/// be parsed. A process may have several rows.
fn parse_table(table: &str) -> (Reading<BTreeMap<u32, Bytes>>, Vec<String>) {
    let mut sizes: BTreeMap<u32, Bytes> = BTreeMap::new();
    let mut passed_over = Vec::new();
    for row in table.lines().skip(1).map(str::trim).filter(|row| !row.is_empty()) {
        let Ok(client) = parse_row(row) else {
            passed_over.push(row.to_owned());
            continue;
        };
        if let Some((pid, size)) = client {
            let of_pid = sizes.entry(pid).or_default();
            *of_pid = of_pid.checked_add(size).unwrap_or(Bytes::new(u64::MAX));
        }
    }
    match passed_over.first() {
        Some(row) if sizes.is_empty() => (Err(WhyNot::unparsable(row.as_bytes())), passed_over),
        _ => (Ok(sizes), passed_over),
    }
}

/// Returns the process and the size in a row, or `None` for the sum, `total SIZE`. The row is parsed from its end,
/// because a process name may contain blanks.
fn parse_row(row: &str) -> Result<Option<(u32, Bytes)>, WhyNot> {
    let wrong = || WhyNot::unparsable(row.as_bytes());
    let mut words = row.split_whitespace().rev();
    let (size, pid) = (words.next().ok_or_else(wrong)?, words.next().ok_or_else(wrong)?);
    if words.next().is_none() {
        return Ok(None);
    }
    Ok(Some((pid.parse().map_err(|_| wrong())?, size.parse().map_err(|_| wrong())?)))
}

/// Reads the table of nvmap, if it counts the GPU's memory.
fn read_table(files: &dyn Files) -> Reading<String> {
    if gpu::is_driven_by_nvidia_ko(files) {
        let why = "nvidia.ko drives the GPU, and nvmap does not count its memory; nvidia-smi does";
        return Err(WhyNot::Unmeasured(why.to_owned()));
    }
    files.text(NVMAP)
}

/// Returns the sizes of that table, unless they are implausible.
fn check_sizes(files: &dyn Files, sizes: BTreeMap<u32, Bytes>) -> Reading<BTreeMap<u32, Bytes>> {
    let has_nothing = !sizes.is_empty() && sizes.values().all(|size| size.get() == 0);
    // A program that has just begun may have allocated nothing, but one that keeps the GPU busy has.
    let is_busy =
        || GpuState::read(files).and_then(|gpu| gpu.load).is_ok_and(|load| load.permyriad() > 0);
    if has_nothing && is_busy() {
        let why = "nvmap counts 0 bytes for every process while the GPU is busy";
        return Err(WhyNot::Unmeasured(why.to_owned()));
    }
    Ok(sizes)
}

/// Adds up the GPU memory of processes by a key, such as their user or their control group. Processes without a key are
/// left out.
pub fn group_gpu_memory<K: Ord>(
    by_pid: &BTreeMap<u32, Bytes>,
    key_of: impl Fn(u32) -> Option<K>,
) -> BTreeMap<K, Bytes> {
    let mut used: BTreeMap<K, Bytes> = BTreeMap::new();
    for (pid, bytes) in by_pid {
        if let Some(key) = key_of(*pid) {
            let sum = used.entry(key).or_default();
            *sum = sum.checked_add(*bytes).unwrap_or(Bytes::new(u64::MAX));
        }
    }
    used
}

/// Adds up the GPU memory of each experiment of bij. `processes` is the `/proc` of the processes.
///
/// The kernel names the control group of each process, so all processes of an experiment are counted.
pub fn gpu_memory_by_experiment(
    by_pid: &BTreeMap<u32, Bytes>,
    processes: impl AsRef<Path>,
) -> BTreeMap<ExperimentId, Bytes> {
    group_gpu_memory(by_pid, |pid| {
        // A process that has ended since has no control group and is skipped.
        let path = processes.as_ref().join(pid.to_string()).join("cgroup");
        experiment_in(&String::from_utf8_lossy(&fs::read(path).unwrap_or_default()))
    })
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
    use crate::{CapturedTree, Memory};

    #[test]
    fn a_process_name_may_contain_blanks_and_a_process_may_have_several_rows() {
        let table = "CLIENT                        PROCESS      PID        SIZE\n\
                     user                          python3     4242       1024K\n\
                     user              my 7 odd process 12     4243          4K\n\
                     user                          python3     4242          1K\n\
                     total                                                1029K\n";
        let (sizes, passed_over) = parse_table(table);
        let sizes = sizes.unwrap();
        assert_eq!(passed_over, Vec::<String>::new());
        assert_eq!(sizes[&4242], Bytes::new(1025 << 10));
        assert_eq!(sizes[&4243], Bytes::new(4 << 10));
        assert_eq!(sizes.len(), 2);
        assert_eq!(parse_table("CLIENT PROCESS PID SIZE\ntotal 0K\n").0, Ok(BTreeMap::new()));
        assert!(parse_table("CLIENT PROCESS PID SIZE\nuser python3 4242 lots\n").0.is_err());
        assert!(parse_table("CLIENT PROCESS PID SIZE\nuser\n").0.is_err());
    }

    #[test]
    fn a_malformed_row_does_not_hide_other_rows() {
        let table =
            "CLIENT PROCESS PID SIZE\nuser python3 4242 1024K\nuser odd 4243 lots\ntotal 1024K\n";
        let (sizes, passed_over) = parse_table(table);
        assert_eq!(sizes, Ok([(4242, Bytes::new(1 << 20))].into()));
        assert_eq!(passed_over, ["user odd 4243 lots"]);
    }

    /// Returns the GPU memory of a board with this load, in tenths of a percent, and this table.
    fn gpu_memory(gpu: &str, load: &str, rows: &str) -> Reading<BTreeMap<u32, Bytes>> {
        let mut tree = CapturedTree::default();
        tree.set(&format!("sys/class/devfreq/{gpu}/cur_freq"), "306000000\n");
        tree.set(&format!("sys/class/devfreq/{gpu}/device/load"), format!("{load}\n"));
        tree.set(NVMAP, format!("CLIENT PROCESS PID SIZE\n{rows}total 0K\n"));
        Memory::read(&tree).gpu_by_pid
    }

    #[test]
    fn a_size_of_zero_is_accepted_only_where_it_is_plausible() {
        let (idle, zero) = ("17000000.gpu", Ok([(7, Bytes::new(0))].into()));
        assert_eq!(gpu_memory(idle, "0", "user daemon 7 0K\n"), zero, "it has allocated nothing");
        assert_eq!(gpu_memory(idle, "765", ""), Ok(BTreeMap::new()), "it has just ended");
        let message = gpu_memory(idle, "765", "user daemon 7 0K\n").unwrap_err().to_string();
        assert_eq!(
            message,
            "unmeasured: nvmap counts 0 bytes for every process while the GPU is busy"
        );
        assert!(gpu_memory(idle, "765", "user daemon 7 4K\n").is_ok());
        for rows in ["user daemon 7 0K\n", "user daemon 7 4K\n", ""] {
            let message = gpu_memory("gpu-gpc-0", "0", rows).unwrap_err().to_string();
            assert!(message.starts_with("unmeasured: nvidia.ko drives the GPU"), "{message}");
        }
    }

    #[test]
    fn memory_is_added_up_by_any_key() {
        let by_pid = [(1, 5), (2, 7), (3, u64::MAX), (4, 1)];
        let by_pid = by_pid.map(|(pid, bytes)| (pid, Bytes::new(bytes))).into();
        let by_parity = group_gpu_memory(&by_pid, |pid| (pid != 4).then_some(pid % 2));
        assert_eq!(by_parity, [(0, Bytes::new(7)), (1, Bytes::new(u64::MAX))].into());
    }

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
