//! Samples of a machine: everything, or only the values that change from second to second.

use bij_core::{Bytes, Milliwatts};

use crate::hwmon::Chip;
use crate::memory::SystemMemory;
use crate::thermal::Trips;
use crate::{
    CoolingDevice, Cpu, Emc, EnergyCounter, Fan, Files, GpuState, Identity, Memory, OverCurrent,
    PowerModes, Rail, Reading, WhyNot, Zone,
};

/// One reading of all hardware.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct HardwareReading {
    /// The model, chip, module and release.
    pub identity: Identity,
    /// Temperatures of the CPU, the GPU and the rest of their chip.
    pub zones: Reading<Vec<Zone>>,
    /// Temperatures of other devices, with their own limits: network cards, SSDs, the board.
    pub sensors: Reading<Vec<Zone>>,
    /// The kernel's cooling devices.
    pub cooling: Reading<Vec<CoolingDevice>>,
    /// Counters of over-current events.
    pub over_current: Reading<Vec<OverCurrent>>,
    /// The power of each rail.
    pub rails: Reading<Vec<Rail>>,
    /// The power of the whole machine.
    pub total: Reading<Milliwatts>,
    /// Energy counters; the difference of two readings gives a power.
    pub energy: Reading<Vec<EnergyCounter>>,
    /// The GPU's load, clocks and power state.
    pub gpu: Reading<GpuState>,
    /// The CPUs and their clocks.
    pub cpus: Reading<Vec<Cpu>>,
    /// The memory controller's clock and load.
    pub emc: Emc,
    /// Memory in use, and the GPU's part of it.
    pub memory: Memory,
    /// The fan's drive and speed.
    pub fan: Fan,
    /// The power modes of nvpmodel.
    pub power: PowerModes,
}

impl HardwareReading {
    pub(crate) fn read(files: &dyn Files) -> Self {
        // Zones, counters, rails and the fan all use this list.
        let chips = Chip::all(files);
        let chip_list = || chips.as_deref().map_err(Clone::clone);
        let rails = chip_list().and_then(|chips| Rail::from_chips(files, chips));
        Self {
            identity: Identity::read(files),
            zones: Zone::from_chips(files, chips.as_deref(), Trips::Read),
            sensors: Zone::other_devices(files, chips.as_deref()),
            cooling: CoolingDevice::all(files),
            over_current: chip_list().map(|chips| OverCurrent::from_chips(files, chips)),
            total: rails.clone().and_then(|rails| Rail::total(&rails)),
            rails,
            energy: EnergyCounter::all(files),
            gpu: GpuState::read(files),
            cpus: Cpu::all(files),
            emc: Emc::read(files),
            memory: Memory::read(files),
            fan: match chip_list() {
                Ok(chips) => Fan::from_chips(files, chips),
                Err(why) => Fan::unknown(&why),
            },
            power: PowerModes::read(files),
        }
    }

    /// Returns what heat slows down now; see [`CoolingDevice::throttled`].
    ///
    /// # Errors
    /// [`WhyNot`] if this cannot be determined.
    pub fn throttled(&self) -> Reading<Vec<&str>> {
        CoolingDevice::throttled(self.cooling.as_ref().map_err(Clone::clone)?)
    }
}

/// One reading of the values that change from second to second. It costs a fraction of a [`HardwareReading`]: no trips,
/// modes, identity or driver tables.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct QuickSample {
    /// Temperatures of the CPU, the GPU and the rest of their chip, without the trips.
    pub zones: Reading<Vec<Zone>>,
    /// The cooling devices that slow the machine down now.
    pub throttled: Reading<Vec<String>>,
    /// Number of over-current events since the boot, of all counters.
    pub over_current: Reading<u64>,
    /// The power of each rail.
    pub rails: Reading<Vec<Rail>>,
    /// The power of the whole machine.
    pub total: Reading<Milliwatts>,
    /// The GPU's load, clocks and power state.
    pub gpu: Reading<GpuState>,
    /// Memory that is available without swapping.
    pub memory_available: Reading<Bytes>,
}

impl QuickSample {
    pub(crate) fn read(files: &dyn Files) -> Self {
        let chips = Chip::all(files);
        let chip_list = || chips.as_deref().map_err(Clone::clone);
        let rails = chip_list().and_then(|chips| Rail::from_chips(files, chips));
        Self {
            zones: Zone::from_chips(files, chips.as_deref(), Trips::LeaveOut),
            throttled: throttled(files),
            over_current: chip_list()
                .and_then(|chips| events(&OverCurrent::from_chips(files, chips))),
            total: rails.clone().and_then(|rails| Rail::total(&rails)),
            rails,
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
        assert_eq!(QuickSample::read(&tree).over_current, Err(WhyNot::Absent));
        tree.set("sys/class/hwmon/hwmon4/name", "soctherm_oc\n");
        tree.set("sys/class/hwmon/hwmon4/oc1_event_cnt", "2\n");
        tree.set("sys/class/hwmon/hwmon4/oc3_event_cnt", "5\n");
        assert_eq!(QuickSample::read(&tree).over_current, Ok(7));
        tree.fail("sys/class/hwmon/hwmon4/oc1_event_cnt", nix::errno::Errno::EIO as i32);
        assert!(matches!(QuickSample::read(&tree).over_current, Err(WhyNot::Failed(_))));
    }
}
