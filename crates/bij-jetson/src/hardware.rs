//! Reads a machine as a whole.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bij_core::Milliwatts;

use crate::hwmon::Chip;
use crate::identity::chip;
use crate::memory::SystemMemory;
use crate::read_deadline::DeadlineReader;
use crate::thermal::Trips;
use crate::{
    CoolingDevice, Cpu, Emc, EnergyCounter, Fan, FastReading, Files, GpuState, Identity, Memory,
    OverCurrent, PowerModes, Rail, Reading, Root, Zone, clocks_held,
};

/// The default deadline of one read. A sensor answers within milliseconds, over the slowest bus within 20. On an
/// overloaded machine a thread may wait a few hundred milliseconds for a CPU.
const READ_DEADLINE: Duration = Duration::from_millis(500);

/// The hardware below a root: a Jetson, or any other Linux machine.
#[derive(Clone)]
pub struct Hardware {
    reader: DeadlineReader,
}

/// One reading of all hardware.
#[derive(Clone, Debug, PartialEq, Eq)]
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

impl Hardware {
    /// Creates a machine below a root: `/`, or a directory with the same structure.
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Self::new(Arc::new(Root::new(root)))
    }

    /// Creates a machine with another source of files.
    pub fn new(files: Arc<dyn Files>) -> Self {
        Self { reader: DeadlineReader::new(files, READ_DEADLINE) }
    }

    /// Sets the deadline of one read.
    #[must_use]
    pub fn with_read_deadline(mut self, deadline: Duration) -> Self {
        self.reader.set_deadline(deadline);
        self
    }

    /// Reads everything. A file that blocks costs one deadline and is then skipped until its read has returned.
    pub fn sample(&self) -> HardwareReading {
        self.reader.read(HardwareReading::read)
    }

    /// Reads only the memory values.
    pub fn memory(&self) -> Memory {
        self.reader.read(Memory::read)
    }

    /// Returns `true` if all clocks are held at one rate; see [`clocks_held`].
    ///
    /// # Errors
    /// [`WhyNot`](crate::WhyNot) of the first clock that cannot be read.
    pub fn clocks_held(&self) -> Reading<bool> {
        self.reader.read(clocks_held)
    }

    /// Reads only the energy counters. Two readings give the power of each; see [`EnergyCounter::rails`].
    ///
    /// # Errors
    /// [`WhyNot`](crate::WhyNot) if counters cannot be listed.
    pub fn energy(&self) -> Reading<Vec<EnergyCounter>> {
        self.reader.read(EnergyCounter::all)
    }

    /// Reads only the kernel's own memory counters. No driver is involved, so this never blocks.
    pub(crate) fn system_memory(&self) -> SystemMemory {
        SystemMemory::read(self.reader.files())
    }

    /// Returns `true` if the chip is a Tegra, whose GPU has no memory of its own.
    pub(crate) fn is_tegra(&self) -> bool {
        chip(self.reader.files()).is_ok_and(|chip| chip.starts_with("tegra"))
    }

    /// Reads only the temperatures of the CPU, the GPU and the rest of their chip, with the trips.
    ///
    /// # Errors
    /// [`WhyNot`](crate::WhyNot) if zones cannot be listed.
    pub fn zones(&self) -> Reading<Vec<Zone>> {
        self.reader.read(Zone::all)
    }

    /// Reads only the temperatures of the CPU, the GPU and the rest of their chip, without the trips. This is fast
    /// enough to be called often.
    ///
    /// # Errors
    /// [`WhyNot`](crate::WhyNot) if zones cannot be listed.
    pub fn temperatures(&self) -> Reading<Vec<Zone>> {
        self.reader.read(Zone::temperatures)
    }

    /// Reads a value from the files; a file that blocks fails with `TimedOut`.
    pub(crate) fn read_with_deadline<T: Send + 'static>(
        &self,
        read_value: impl Fn(&dyn Files) -> T + Clone + Send + 'static,
    ) -> T {
        self.reader.read(read_value)
    }

    /// Reads only the values that change from second to second.
    pub fn fast_sample(&self) -> FastReading {
        self.reader.read(FastReading::read)
    }
}

impl HardwareReading {
    pub(crate) fn read(files: &dyn Files) -> Self {
        // Zones, counters, rails and the fan all use this list.
        let chips = Chip::all(files);
        let chip_list = || chips.as_deref().map_err(Clone::clone);
        let rails = chip_list().and_then(|chips| Rail::from_chips(files, chips));
        Self {
            identity: Identity::read(files),
            zones: chip_list().and_then(|chips| Zone::from_chips(files, chips, Trips::Read)),
            sensors: chip_list().and_then(|chips| Zone::other_devices(files, chips)),
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
    /// [`WhyNot`](crate::WhyNot) if this cannot be determined.
    pub fn throttled(&self) -> Reading<Vec<&str>> {
        CoolingDevice::throttled(self.cooling.as_ref().map_err(Clone::clone)?)
    }
}
