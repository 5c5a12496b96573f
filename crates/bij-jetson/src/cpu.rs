//! CPUs: which are online, and their clocks.

use bij_core::Hertz;

use crate::{Files, Reading, WhyNot, parse};

const DIRECTORY: &str = "sys/devices/system/cpu";

/// One CPU of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Cpu {
    /// The kernel's number of the CPU.
    pub id: u32,
    /// Whether the CPU is online; power modes take some offline.
    pub online: bool,
    /// The current clock; none if the CPU is offline, even if its file has a value.
    pub clock: Reading<Hertz>,
}

impl Cpu {
    /// Reads all CPUs of the machine, sorted by number.
    ///
    /// # Errors
    /// [`WhyNot`] if the kernel's lists of CPUs cannot be read.
    pub(crate) fn all(files: &dyn Files) -> Reading<Vec<Self>> {
        let list = |name: &str| {
            files.text(&format!("{DIRECTORY}/{name}")).and_then(|text| parse::ranges(&text))
        };
        let online = list("online")?;
        // `possible` includes empty sockets for which the firmware of a PC reserves numbers.
        let mut all = list("present")?;
        all.extend(&online);
        all.sort_unstable();
        all.dedup();
        let cpu = |id: u32| {
            let online = online.contains(&id);
            let clock = if online { clock(files, id, "cur") } else { Err(WhyNot::Off) };
            Self { id, online, clock }
        };
        Ok(all.into_iter().map(cpu).collect())
    }
}

/// Reads the current, lowest or highest clock of a CPU: `cur`, `min`, `max`.
pub(crate) fn clock(files: &dyn Files, id: u32, which: &str) -> Reading<Hertz> {
    let kilohertz = files.count(&format!("{DIRECTORY}/cpu{id}/cpufreq/scaling_{which}_freq"))?;
    Hertz::from_kilohertz(kilohertz).ok_or_else(|| WhyNot::Unparsable(kilohertz.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CapturedTree;

    #[test]
    fn an_offline_cpu_has_no_clock_although_its_file_exists() {
        let mut tree = CapturedTree::default();
        tree.set("sys/devices/system/cpu/present", "0-1\n");
        tree.set("sys/devices/system/cpu/online", "0\n");
        tree.set("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "729600\n");
        tree.set("sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq", "2201600\n");
        let cpus = Cpu::all(&tree).unwrap();
        assert_eq!(cpus[0].clock, Ok(Hertz::new(729_600_000)));
        assert_eq!((cpus[1].online, &cpus[1].clock), (false, &Err(WhyNot::Off)));
        tree.set("sys/devices/system/cpu/online", "0-\n");
        assert_eq!(Cpu::all(&tree), Err(WhyNot::Unparsable("0-".to_owned())));
    }
}
