//! Memory, which on a Jetson is the GPU's as well.

use std::collections::BTreeMap;

use bij_core::{Bytes, Percent};

use crate::{Files, Gpu, Reading, WhyNot, gpu};

const MEMINFO: &str = "proc/meminfo";
const PRESSURE: &str = "proc/pressure/memory";
const NVMAP: &str = "sys/kernel/debug/nvmap/iovmm/clients";

/// What memory there is, and what of it the GPU has.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Memory {
    /// Physical memory in all: `MemTotal` (`proc_meminfo(5)`).
    pub total: Reading<Bytes>,
    /// What could be had without swapping: `MemAvailable`.
    pub available: Reading<Bytes>,
    /// The share of the last ten seconds in which some task waited for memory; kernels without PSI do
    /// not tell.
    pub pressure: Reading<Percent>,
    /// What each process has allocated through the GPU's driver. No control group counts it: these
    /// pages are not charged to the process that asked for them.
    pub gpu_by_pid: Reading<BTreeMap<u32, Bytes>>,
    /// Rows of the driver's table that are not understood.
    pub gpu_passed_over: Vec<String>,
}

impl Memory {
    /// The memory of this machine.
    pub fn read(files: &dyn Files) -> Self {
        let SystemMemory { total, available, pressure } = SystemMemory::read(files);
        let (gpu_by_pid, gpu_passed_over) = match table(files).map(|table| clients(&table)) {
            Ok((sizes, passed_over)) => (sizes.and_then(|it| measured(files, it)), passed_over),
            Err(why) => (Err(why), Vec::new()),
        };
        Self { total, available, pressure, gpu_by_pid, gpu_passed_over }
    }
}

/// What the kernel knows of memory without asking any driver.
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

/// A line such as `MemTotal:       16316412 kB`.
fn kilobytes(meminfo: &str, name: &str) -> Reading<Bytes> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let line = line.ok_or(WhyNot::Absent)?.trim();
    let number = line.strip_suffix("kB").and_then(|number| number.trim_end().parse::<u64>().ok());
    let bytes = number.and_then(|number| number.checked_mul(1024));
    bytes.map(Bytes::new).ok_or_else(|| WhyNot::unparsable(line.as_bytes()))
}

/// `some avg10=0.12 avg60=…` (the kernel's Documentation/accounting/psi.rst).
fn some_avg10(text: &str) -> Reading<Percent> {
    let some = text.lines().find_map(|line| line.strip_prefix("some "));
    let share = some.and_then(|some| some.split(' ').find_map(|word| word.strip_prefix("avg10=")));
    let share = share.and_then(|share| format!("{share}%").parse().ok());
    share.ok_or_else(|| WhyNot::unparsable(text.as_bytes()))
}

/// The table of nvmap, `CLIENT PROCESS PID SIZE`, and the rows of it that are not understood. A process may stand
/// there more than once.
fn clients(table: &str) -> (Reading<BTreeMap<u32, Bytes>>, Vec<String>) {
    let mut sizes: BTreeMap<u32, Bytes> = BTreeMap::new();
    let mut passed_over = Vec::new();
    for row in table.lines().skip(1).map(str::trim).filter(|row| !row.is_empty()) {
        let Ok(client) = client(row) else {
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

/// The process and the size in a row, which is read from its end because a name may have blanks in it; `None` for the
/// sum, `total SIZE`: a row of a process has its name before its number.
fn client(row: &str) -> Result<Option<(u32, Bytes)>, WhyNot> {
    let wrong = || WhyNot::unparsable(row.as_bytes());
    let mut words = row.split_whitespace().rev();
    let (size, pid) = (words.next().ok_or_else(wrong)?, words.next().ok_or_else(wrong)?);
    if words.next().is_none() {
        return Ok(None);
    }
    Ok(Some((pid.parse().map_err(|_| wrong())?, size.parse().map_err(|_| wrong())?)))
}

/// The table of nvmap, where it counts what the GPU takes.
fn table(files: &dyn Files) -> Reading<String> {
    if gpu::is_driven_by_nvidia_ko(files) {
        let why = "nvidia.ko drives the GPU, and nvmap does not count its memory; nvidia-smi does";
        return Err(WhyNot::Unmeasured(why.to_owned()));
    }
    files.text(NVMAP)
}

/// Sizes of that table, unless they cannot be true.
fn measured(files: &dyn Files, sizes: BTreeMap<u32, Bytes>) -> Reading<BTreeMap<u32, Bytes>> {
    let has_nothing = !sizes.is_empty() && sizes.values().all(|size| size.get() == 0);
    // A program that has just begun has nothing yet. One that keeps the GPU busy has.
    let is_busy =
        || Gpu::read(files).and_then(|gpu| gpu.load).is_ok_and(|load| load.permyriad() > 0);
    if has_nothing && is_busy() {
        let why = "nvmap counts 0 bytes for every process while the GPU is busy";
        return Err(WhyNot::Unmeasured(why.to_owned()));
    }
    Ok(sizes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_may_have_blanks_in_its_name_and_more_than_one_row() {
        let table = "CLIENT                        PROCESS      PID        SIZE\n\
                     user                          python3     4242       1024K\n\
                     user              my 7 odd process 12     4243          4K\n\
                     user                          python3     4242          1K\n\
                     total                                                1029K\n";
        let (sizes, passed_over) = clients(table);
        let sizes = sizes.unwrap();
        assert_eq!(passed_over, Vec::<String>::new());
        assert_eq!(sizes[&4242], Bytes::new(1025 << 10));
        assert_eq!(sizes[&4243], Bytes::new(4 << 10));
        assert_eq!(sizes.len(), 2);
        assert_eq!(clients("CLIENT PROCESS PID SIZE\ntotal 0K\n").0, Ok(BTreeMap::new()));
        assert!(clients("CLIENT PROCESS PID SIZE\nuser python3 4242 lots\n").0.is_err());
        assert!(clients("CLIENT PROCESS PID SIZE\nuser\n").0.is_err());
    }

    #[test]
    fn a_row_that_is_not_understood_takes_no_other_away() {
        let table =
            "CLIENT PROCESS PID SIZE\nuser python3 4242 1024K\nuser odd 4243 lots\ntotal 1024K\n";
        let (sizes, passed_over) = clients(table);
        assert_eq!(sizes, Ok([(4242, Bytes::new(1 << 20))].into()));
        assert_eq!(passed_over, ["user odd 4243 lots"]);
    }

    /// A board whose GPU is so busy, in tenths of a percent, with this table.
    fn gpu_memory(gpu: &str, load: &str, rows: &str) -> Reading<BTreeMap<u32, Bytes>> {
        let mut tree = crate::CapturedTree::default();
        tree.set(&format!("sys/class/devfreq/{gpu}/cur_freq"), "306000000\n");
        tree.set(&format!("sys/class/devfreq/{gpu}/device/load"), format!("{load}\n"));
        tree.set(NVMAP, format!("CLIENT PROCESS PID SIZE\n{rows}total 0K\n"));
        Memory::read(&tree).gpu_by_pid
    }

    #[test]
    fn zero_is_a_size_only_where_it_can_be_one() {
        let (idle, zero) = ("17000000.gpu", Ok([(7, Bytes::new(0))].into()));
        assert_eq!(gpu_memory(idle, "0", "user daemon 7 0K\n"), zero, "it has nothing yet");
        assert_eq!(gpu_memory(idle, "765", ""), Ok(BTreeMap::new()), "it has just ended");
        let told = gpu_memory(idle, "765", "user daemon 7 0K\n").unwrap_err().to_string();
        assert_eq!(
            told,
            "unmeasured: nvmap counts 0 bytes for every process while the GPU is busy"
        );
        assert!(gpu_memory(idle, "765", "user daemon 7 4K\n").is_ok());
        for rows in ["user daemon 7 0K\n", "user daemon 7 4K\n", ""] {
            let told = gpu_memory("gpu-gpc-0", "0", rows).unwrap_err().to_string();
            assert!(told.starts_with("unmeasured: nvidia.ko drives the GPU"), "{told}");
        }
    }

    #[test]
    fn meminfo_is_in_kilobytes_whatever_they_are() {
        let text = "MemTotal:       1000 kB\nMemTotalX: 5 kB\nMemAvailable: many kB\n";
        assert_eq!(kilobytes(text, "MemTotal"), Ok(Bytes::new(1_024_000)));
        assert_eq!(kilobytes(text, "MemFree"), Err(WhyNot::Absent));
        assert_eq!(kilobytes(text, "MemAvailable"), Err(WhyNot::unparsable(b"many kB")));
    }

    #[test]
    fn pressure_is_that_of_some_over_ten_seconds() {
        let psi = "some avg10=12.34 avg60=0.00 avg300=0.00 total=7\nfull avg10=1.00 total=3\n";
        assert_eq!(some_avg10(psi), Ok(Percent::from_permyriad(1234)));
        assert!(some_avg10("nonsense").is_err());
    }
}
