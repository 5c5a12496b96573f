//! Memory, which the CPU and the GPU of a Jetson share, and its controller.

use std::collections::BTreeMap;

use bij_core::{Bytes, Hertz, Percent};

use crate::{Files, Reading, WhyNot, gpu_memory};

const MEMINFO: &str = "proc/meminfo";
const PRESSURE: &str = "proc/pressure/memory";

/// The machine's memory, and the GPU's part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
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
    pub(crate) fn read(files: &dyn Files) -> Self {
        let SystemMemory { total, available, pressure } = SystemMemory::read(files);
        let (gpu_by_pid, gpu_passed_over) = gpu_memory::read(files);
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

const CLOCK: &str = "sys/kernel/debug/bpmp/debug/clk/emc";

/// Files with the activity in kHz: before JetPack 6, and since.
const ACTIVITY: [&str; 2] =
    ["sys/kernel/actmon_avg_activity/mc_all", "sys/kernel/debug/cactmon/mc_all"];

/// The external memory controller (EMC) of a Tegra. Only root may read its clock and load.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Emc {
    /// The rate at which it runs now.
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
    pub(crate) fn read(files: &dyn Files) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CapturedTree;

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
}
