//! Processors: which are online, and how fast they are.

use bij_core::Hertz;

use crate::{Files, Reading, WhyNot, parse};

const DIRECTORY: &str = "sys/devices/system/cpu";

/// One processor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cpu {
    /// Its number.
    pub id: u32,
    /// Whether it takes part; power modes take some out.
    pub online: bool,
    /// Its clock; an offline one has none, whatever its files still say.
    pub clock: Reading<Hertz>,
}

impl Cpu {
    /// All processors that the machine has, by their numbers.
    ///
    /// # Errors
    /// [`WhyNot`] if the kernel's lists of them cannot be read.
    pub fn all(files: &dyn Files) -> Reading<Vec<Self>> {
        let list = |name: &str| {
            files.text(&format!("{DIRECTORY}/{name}")).and_then(|text| parse::ranges(&text))
        };
        let online = list("online")?;
        // `possible` counts sockets that are empty, where the firmware of a PC plans for them.
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

/// The present, lowest or highest clock of a processor: `cur`, `min`, `max`.
pub(crate) fn clock(files: &dyn Files, id: u32, which: &str) -> Reading<Hertz> {
    let kilohertz = files.count(&format!("{DIRECTORY}/cpu{id}/cpufreq/scaling_{which}_freq"))?;
    Hertz::from_kilohertz(kilohertz).ok_or_else(|| WhyNot::Unparsable(kilohertz.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CapturedTree;

    #[test]
    fn an_offline_processor_has_no_clock_though_its_file_is_still_there() {
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
