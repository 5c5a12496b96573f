//! The values that change from second to second.

use bij_core::{Bytes, Milliwatts};

use crate::hwmon::Chip;
use crate::memory::SystemMemory;
use crate::thermal::Trips;
use crate::{CoolingDevice, Files, GpuState, OverCurrent, Rail, Reading, WhyNot, Zone};

/// One reading of the values that change from second to second, which are recorded while an experiment runs. It costs
/// a fraction of a [`HardwareReading`](crate::HardwareReading): no trips, modes, identity or driver tables.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FastReading {
    /// Temperatures of the CPU, the GPU and the rest of their chip, without the trips.
    pub zones: Reading<Vec<Zone>>,
    /// The cooling devices that slow the machine down now.
    pub throttled: Reading<Vec<String>>,
    /// Number of over-current events since the boot, of all counters.
    pub over_current: Reading<u64>,
    /// The power of the whole machine.
    pub total: Reading<Milliwatts>,
    /// The GPU's load, clocks and power state.
    pub gpu: Reading<GpuState>,
    /// Memory that is available without swapping.
    pub memory_available: Reading<Bytes>,
}

impl FastReading {
    pub(crate) fn read(files: &dyn Files) -> Self {
        let chips = Chip::all(files);
        let chip_list = || chips.as_deref().map_err(Clone::clone);
        Self {
            zones: chip_list().and_then(|chips| Zone::from_chips(files, chips, Trips::LeaveOut)),
            throttled: throttled(files),
            over_current: chip_list()
                .and_then(|chips| events(&OverCurrent::from_chips(files, chips))),
            total: chip_list()
                .and_then(|chips| Rail::from_chips(files, chips))
                .and_then(|rails| Rail::total(&rails)),
            gpu: GpuState::read(files),
            memory_available: SystemMemory::read(files).available,
        }
    }
}

fn throttled(files: &dyn Files) -> Reading<Vec<String>> {
    let devices = CoolingDevice::all(files)?;
    Ok(CoolingDevice::throttled(&devices)?.into_iter().map(ToOwned::to_owned).collect())
}

/// Returns the sum of all counters, if all can be read.
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
    fn over_current_counters_add_up_unless_one_cannot_be_read() {
        let mut tree = CapturedTree::default();
        assert_eq!(FastReading::read(&tree).over_current, Err(WhyNot::Absent));
        tree.set("sys/class/hwmon/hwmon4/name", "soctherm_oc\n");
        tree.set("sys/class/hwmon/hwmon4/oc1_event_cnt", "2\n");
        tree.set("sys/class/hwmon/hwmon4/oc3_event_cnt", "5\n");
        assert_eq!(FastReading::read(&tree).over_current, Ok(7));
        tree.fail("sys/class/hwmon/hwmon4/oc1_event_cnt", nix::errno::Errno::EIO as i32);
        assert!(matches!(FastReading::read(&tree).over_current, Err(WhyNot::Failed(_))));
    }
}
