//! What changes from one second to the next.

use bij_core::{Bytes, Milliwatts};

use crate::hwmon::Chip;
use crate::memory::SystemMemory;
use crate::thermal::Trips;
use crate::{CoolingDevice, Files, Gpu, OverCurrent, Rail, Reading, WhyNot, Zone};

/// One reading of what changes from one second to the next, and is kept while something runs. It costs
/// a fraction of a [`BoardSample`](crate::BoardSample): no trips, modes, identity or tables of drivers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pulse {
    /// How hot the processor, the GPU and the rest of their chip are, without the trips.
    pub zones: Reading<Vec<Zone>>,
    /// What is slowed down by heat now.
    pub throttled: Reading<Vec<String>>,
    /// How often the power supply was too weak since the boot, in all.
    pub over_current: Reading<u64>,
    /// What the machine draws in all.
    pub total: Reading<Milliwatts>,
    /// The GPU.
    pub gpu: Reading<Gpu>,
    /// What memory could be had without swapping.
    pub memory_available: Reading<Bytes>,
}

impl Pulse {
    pub(crate) fn read(files: &dyn Files) -> Self {
        let chips = Chip::all(files);
        let among = || chips.as_deref().map_err(Clone::clone);
        Self {
            zones: Zone::with(files, among().unwrap_or_default(), Trips::LeaveOut),
            throttled: throttled(files),
            over_current: among().and_then(|chips| events(&OverCurrent::with(files, chips))),
            total: among()
                .and_then(|chips| Rail::with(files, chips))
                .and_then(|rails| Rail::total(&rails)),
            gpu: Gpu::read(files),
            memory_available: SystemMemory::read(files).available,
        }
    }
}

fn throttled(files: &dyn Files) -> Reading<Vec<String>> {
    let devices = CoolingDevice::all(files)?;
    Ok(CoolingDevice::throttled(&devices)?.into_iter().map(ToOwned::to_owned).collect())
}

/// The sum of all counters, if each of them tells.
fn events(counters: &[OverCurrent]) -> Reading<u64> {
    if counters.is_empty() {
        return Err(WhyNot::Absent);
    }
    counters.iter().try_fold(0u64, |sum, counter| Ok(sum.saturating_add(counter.count.clone()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CapturedTree;

    #[test]
    fn counters_add_up_unless_one_does_not_tell() {
        let mut tree = CapturedTree::default();
        assert_eq!(Pulse::read(&tree).over_current, Err(WhyNot::Absent));
        tree.set("sys/class/hwmon/hwmon4/name", "soctherm_oc\n");
        tree.set("sys/class/hwmon/hwmon4/oc1_event_cnt", "2\n");
        tree.set("sys/class/hwmon/hwmon4/oc3_event_cnt", "5\n");
        assert_eq!(Pulse::read(&tree).over_current, Ok(7));
        tree.fail("sys/class/hwmon/hwmon4/oc1_event_cnt", nix::errno::Errno::EIO as i32);
        assert!(matches!(Pulse::read(&tree).over_current, Err(WhyNot::Failed(_))));
    }
}
