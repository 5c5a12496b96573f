//! Memory, which the CPU and the GPU of a Jetson share, and its controller.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bij_core::{Bytes, ExperimentId, Hertz, Percent};

use crate::{Files, GpuState, Reading, WhyNot, gpu};

const MEMINFO: &str = "proc/meminfo";
const PRESSURE: &str = "proc/pressure/memory";
const NVMAP: &str = "sys/kernel/debug/nvmap/iovmm/clients";

/// The machine's memory, and the GPU's part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Memory {
    /// Total physical memory: `MemTotal` (`proc_meminfo(5)`).
    pub total: Reading<Bytes>,
    /// Memory that is available without swapping: `MemAvailable`.
    pub available: Reading<Bytes>,
    /// The share of the last ten seconds in which some task waited for memory; absent in kernels without PSI.
    pub pressure: Reading<Percent>,
    /// Memory that each process has allocated through the GPU's driver, by PID. No control group counts it, because
    /// these pages are not charged to the process.
    pub gpu_by_pid: Reading<BTreeMap<u32, Bytes>>,
    /// Rows of the driver's table that could not be parsed.
    pub gpu_passed_over: Vec<String>,
}

impl Memory {
    /// Reads the memory values of this machine.
    pub fn read(files: &dyn Files) -> Self {
        let SystemMemory { total, available, pressure } = SystemMemory::read(files);
        let (gpu_by_pid, gpu_passed_over) = match read_table(files).map(|table| parse_table(&table))
        {
            Ok((sizes, passed_over)) => (sizes.and_then(|it| check_sizes(files, it)), passed_over),
            Err(why) => (Err(why), Vec::new()),
        };
        Self { total, available, pressure, gpu_by_pid, gpu_passed_over }
    }
}

/// The kernel's own memory values, which need no driver.
pub(crate) struct SystemMemory {
    pub(crate) total: Reading<Bytes>,
    pub(crate) available: Reading<Bytes>,
    pub(crate) pressure: Reading<Percent>,
}

impl SystemMemory {
    pub(crate) fn read(files: &dyn Files) -> Self {
        let meminfo = files.text(MEMINFO);
        let line =
            |name: &str| meminfo.as_ref().map_err(Clone::clone).and_then(|m| kilobytes(m, name));
        Self {
            total: line("MemTotal"),
            available: line("MemAvailable"),
            pressure: files.text(PRESSURE).and_then(|text| some_avg10(&text)),
        }
    }
}

/// Returns a value from a line such as `MemTotal:       16316412 kB`.
fn kilobytes(meminfo: &str, name: &str) -> Reading<Bytes> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let line = line.ok_or(WhyNot::Absent)?.trim();
    let number = line.strip_suffix("kB").and_then(|number| number.trim_end().parse::<u64>().ok());
    let bytes = number.and_then(|number| number.checked_mul(1024));
    bytes.map(Bytes::new).ok_or_else(|| WhyNot::unparsable(line.as_bytes()))
}

/// Returns the share in `some avg10=0.12 avg60=…` (the kernel's Documentation/accounting/psi.rst).
fn some_avg10(text: &str) -> Reading<Percent> {
    let some = text.lines().find_map(|line| line.strip_prefix("some "));
    let share = some.and_then(|some| some.split(' ').find_map(|word| word.strip_prefix("avg10=")));
    let share = share.and_then(|share| format!("{share}%").parse().ok());
    share.ok_or_else(|| WhyNot::unparsable(text.as_bytes()))
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

const CLOCK: &str = "sys/kernel/debug/bpmp/debug/clk/emc";

/// Files with the activity in kHz: before JetPack 6, and since.
const ACTIVITY: [&str; 2] =
    ["sys/kernel/actmon_avg_activity/mc_all", "sys/kernel/debug/cactmon/mc_all"];

/// The external memory controller (EMC) of a Tegra. Only root may read its clock and load.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Emc {
    /// The current clock.
    pub clock: Reading<Hertz>,
    /// The highest possible clock.
    pub max_clock: Reading<Hertz>,
    /// The share of the clock that is used.
    pub load: Reading<Percent>,
    /// Whether the clock is held, as by `jetson_clocks`.
    pub locked: Reading<bool>,
}

impl Emc {
    /// Reads the controller of this machine.
    pub fn read(files: &dyn Files) -> Self {
        let clock = |name: &str| files.count(&format!("{CLOCK}/{name}")).map(Hertz::new);
        let now = clock("rate");
        let load = activity(files).and_then(|busy| share(busy, now.clone()?));
        let locked = files.count(&format!("{CLOCK}/mrq_rate_locked")).map(|locked| locked != 0);
        Self { clock: now, max_clock: clock("max_rate"), load, locked }
    }
}

fn activity(files: &dyn Files) -> Reading<u64> {
    let [older, newer] = ACTIVITY;
    match files.count(older) {
        Err(WhyNot::Absent) => files.count(newer),
        other => other,
    }
}

/// Returns activity in kHz as a share of a clock; rounding may exceed 100 % a little.
fn share(kilohertz: u64, clock: Hertz) -> Reading<Percent> {
    let permyriad = u128::from(kilohertz) * 10_000_000 / u128::from(clock.get().max(1));
    let permyriad = u64::try_from(permyriad).unwrap_or(u64::MAX);
    if permyriad > 2 * Percent::HUNDRED.permyriad() {
        return Err(WhyNot::Unparsable(kilohertz.to_string()));
    }
    Ok(Percent::from_permyriad(permyriad.min(Percent::HUNDRED.permyriad())))
}

/// Adds up the GPU memory of each experiment from the memory of each process, on a board whose GPU shares the machine's
/// memory. `processes` is the `/proc` of those processes.
///
/// The driver gives the memory of each process, and the kernel its control group, so all processes of an experiment are
/// counted.
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
    use crate::CapturedTree;

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
    fn values_in_meminfo_are_parsed_as_kilobytes() {
        let text = "MemTotal:       1000 kB\nMemTotalX: 5 kB\nMemAvailable: many kB\n";
        assert_eq!(kilobytes(text, "MemTotal"), Ok(Bytes::new(1_024_000)));
        assert_eq!(kilobytes(text, "MemFree"), Err(WhyNot::Absent));
        assert_eq!(kilobytes(text, "MemAvailable"), Err(WhyNot::unparsable(b"many kB")));
    }

    #[test]
    fn pressure_is_the_share_of_some_tasks_over_ten_seconds() {
        let psi = "some avg10=12.34 avg60=0.00 avg300=0.00 total=7\nfull avg10=1.00 total=3\n";
        assert_eq!(some_avg10(psi), Ok(Percent::from_permyriad(1234)));
        assert!(some_avg10("nonsense").is_err());
    }

    #[test]
    fn load_is_activity_divided_by_clock() {
        let mut tree = CapturedTree::default();
        tree.set("sys/kernel/debug/bpmp/debug/clk/emc/rate", "2133000000\n");
        tree.set("sys/kernel/debug/cactmon/mc_all", "533250\n");
        assert_eq!(Emc::read(&tree).load, Ok(Percent::new(25)));
        tree.set("sys/kernel/debug/bpmp/debug/clk/emc/rate", "0\n");
        assert!(Emc::read(&tree).load.is_err(), "no clock, no share");
        assert_eq!(Emc::read(&CapturedTree::default()).load, Err(WhyNot::Absent));
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
