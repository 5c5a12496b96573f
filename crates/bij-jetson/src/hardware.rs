//! Reads a machine as a whole.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bij_core::port::{Board, BoardReadError, Sample, ZoneReading};
use bij_core::{Bytes, Milliwatts, Percent};

use crate::hwmon::Chip;
use crate::identity::chip;
use crate::memory::SystemMemory;
use crate::read_deadline::DeadlineReader;
use crate::thermal::Trips;
use crate::{
    CoolingDevice, Cpu, Emc, EnergyCounter, Fan, Files, GpuState, Identity, Memory, OverCurrent,
    PowerModes, Rail, Reading, Root, WhyNot, Zone, clocks_held,
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
    /// [`WhyNot`] of the first clock that cannot be read.
    pub fn clocks_held(&self) -> Reading<bool> {
        self.reader.read(clocks_held)
    }

    /// Reads only the energy counters. Two readings give the power of each; see [`EnergyCounter::rails`].
    ///
    /// # Errors
    /// [`WhyNot`] if counters cannot be listed.
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
    /// [`WhyNot`] if zones cannot be listed.
    pub fn zones(&self) -> Reading<Vec<Zone>> {
        self.reader.read(Zone::all)
    }

    /// Reads only the temperatures of the CPU, the GPU and the rest of their chip, without the trips. This is fast
    /// enough to be called often.
    ///
    /// # Errors
    /// [`WhyNot`] if zones cannot be listed.
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

/// One reading of the values that change from second to second, which are recorded while an experiment runs. It costs
/// a fraction of a [`HardwareReading`]: no trips, modes, identity or driver tables.
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
            zones: Zone::from_chips(files, chips.as_deref(), Trips::LeaveOut),
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

impl Board for Hardware {
    fn sample(&self) -> Sample {
        let SystemMemory { total, available, pressure } = self.system_memory();
        let mut sample = Sample::new(Bytes::new(0), Bytes::new(0));
        sample.memory_total = require("MemTotal", total);
        sample.memory_available = require("MemAvailable", available);
        sample.memory_pressure = some_pressure(pressure);
        sample.shared_with_gpu = self.is_tegra();
        sample
    }

    fn zones(&self) -> Result<Vec<ZoneReading>, BoardReadError> {
        let zones = require("the thermal zones", self.temperatures())?.into_iter();
        let reading = |Zone { name, celsius, .. }| {
            let celsius = require(&format!("zone {name}"), celsius);
            ZoneReading { name, celsius }
        };
        Ok(zones.map(reading).collect())
    }
}

fn require<T>(what: &str, reading: Reading<T>) -> Result<T, BoardReadError> {
    reading.map_err(|why| BoardReadError { what: what.to_owned(), why: why.to_string() })
}

/// Maps a missing pressure to `None`: a kernel without PSI has none, which is no error.
fn some_pressure(reading: Reading<Percent>) -> Result<Option<Percent>, BoardReadError> {
    match reading {
        Err(WhyNot::Absent) => Ok(None),
        other => require("the pressure on memory", other).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bij_core::Celsius;

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

    fn machine(files: &[(&str, &str)]) -> Hardware {
        let mut tree = CapturedTree::default();
        for (path, text) in files {
            tree.set(path, *text);
        }
        Hardware::new(Arc::new(tree))
    }

    fn board(meminfo: &str, pressure: Option<&str>) -> Sample {
        let mut files = vec![("proc/meminfo", meminfo)];
        files.extend(pressure.map(|pressure| ("proc/pressure/memory", pressure)));
        Board::sample(&machine(&files))
    }

    #[test]
    fn memory_and_its_pressure_are_reported() {
        let meminfo = "MemTotal: 1000 kB\nMemAvailable: 500 kB\n";
        let sample = board(meminfo, Some("some avg10=12.34 avg60=0.00 avg300=0.00 total=7\n"));
        assert_eq!(sample.memory_total, Ok(Bytes::new(1_024_000)));
        assert_eq!(sample.memory_available, Ok(Bytes::new(512_000)));
        assert_eq!(sample.memory_pressure, Ok(Some(Percent::from_permyriad(1234))));
        assert_eq!(board(meminfo, None).memory_pressure, Ok(None));
    }

    #[test]
    fn a_jetson_shares_its_memory_with_the_gpu() {
        let jetson = [("proc/device-tree/compatible", "nvidia,p3701-0005\0nvidia,tegra234\0")];
        assert!(Board::sample(&machine(&jetson)).shared_with_gpu);
        let other = [("proc/device-tree/compatible", "raspberrypi,5\0brcm,bcm2712\0")];
        assert!(!Board::sample(&machine(&other)).shared_with_gpu);
        assert!(!Board::sample(&machine(&[])).shared_with_gpu);
    }

    #[test]
    fn an_error_names_the_value_and_the_reason() {
        let sample = board("MemTotal: many kB\n", Some("nonsense"));
        let message = sample.memory_total.unwrap_err().to_string();
        assert_eq!(message, "cannot read MemTotal: unparsable: \"many kB\"");
        let message = sample.memory_available.unwrap_err().to_string();
        assert_eq!(message, "cannot read MemAvailable: absent");
        assert!(sample.memory_pressure.is_err());
    }

    #[test]
    fn zones_that_are_off_are_reported_too() {
        let hot = machine(&[
            ("sys/class/thermal/thermal_zone3/type", "CPU-therm\n"),
            ("sys/class/thermal/thermal_zone3/temp", "52875\n"),
            ("sys/class/thermal/thermal_zone5/type", "CV0-therm\n"),
            ("sys/class/thermal/thermal_zone5/temp", "-256000\n"),
        ]);
        let zones = Board::zones(&hot).unwrap();
        let names: Vec<&str> = zones.iter().map(|zone| zone.name.as_str()).collect();
        assert_eq!(names, ["cpu", "cv0"]);
        assert_eq!(zones[0].celsius, Ok(Celsius::from_millis(52_875)));
        let message = zones[1].celsius.as_ref().unwrap_err().to_string();
        assert_eq!(message, "cannot read zone cv0: off");
        assert_eq!(Board::zones(&machine(&[])), Ok(Vec::new()), "a machine without any");
    }

    #[test]
    fn this_machine_can_be_read() {
        let sample = Board::sample(&Hardware::below("/"));
        assert!(sample.memory_available.unwrap() <= sample.memory_total.unwrap());
    }
}
