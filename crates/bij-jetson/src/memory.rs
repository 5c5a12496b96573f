//! Memory, which on a Jetson is the GPU's as well.

use std::collections::BTreeMap;

use bij_core::{Bytes, Percent};

use crate::{Files, Reading, WhyNot};

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
    /// pages are not charged to whoever asked for them.
    pub gpu_by_pid: Reading<BTreeMap<u32, Bytes>>,
}

impl Memory {
    /// The memory of this machine.
    pub fn read(files: &dyn Files) -> Self {
        let SystemMemory { total, available, pressure } = SystemMemory::read(files);
        let gpu_by_pid = files.text(NVMAP).and_then(|text| clients(&text));
        Self { total, available, pressure, gpu_by_pid }
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

/// The table of nvmap: `CLIENT PROCESS PID SIZE`. A process may stand there more than once, and its name
/// may have blanks in it, so a row is read from its end.
fn clients(table: &str) -> Reading<BTreeMap<u32, Bytes>> {
    let mut sizes = BTreeMap::new();
    for row in table.lines().skip(1).filter(|row| !row.trim().is_empty()) {
        let wrong = || WhyNot::unparsable(row.trim().as_bytes());
        let mut words = row.split_whitespace().rev();
        let (Some(size), Some(pid)) = (words.next(), words.next()) else { return Err(wrong()) };
        if words.next().is_none() {
            // `total SIZE`: a row of a process has its name before its number.
            continue;
        }
        let size: Bytes = size.parse().map_err(|_| wrong())?;
        let of_pid = sizes.entry(pid.parse().map_err(|_| wrong())?).or_insert(Bytes::new(0));
        *of_pid = of_pid.checked_add(size).ok_or_else(wrong)?;
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
        let sizes = clients(table).unwrap();
        assert_eq!(sizes[&4242], Bytes::new(1025 << 10));
        assert_eq!(sizes[&4243], Bytes::new(4 << 10));
        assert_eq!(sizes.len(), 2);
        assert_eq!(clients("CLIENT PROCESS PID SIZE\ntotal 0K\n"), Ok(BTreeMap::new()));
        assert!(clients("CLIENT PROCESS PID SIZE\nuser python3 4242 lots\n").is_err());
        assert!(clients("CLIENT PROCESS PID SIZE\nuser\n").is_err());
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
