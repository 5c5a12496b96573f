//! A machine: its sensors, modes and settings, each as a reading.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bij_core::port::{Board, BoardReadError, Sample, ZoneReading};
use bij_core::{Bytes, Outcome, Percent};
use thiserror::Error;

use crate::files::Root;
use crate::hwmon::Chip;
use crate::identity::chip;
use crate::jetson_clocks::clocks_held;
use crate::memory::SystemMemory;
use crate::read_deadline::DeadlineReader;
use crate::{
    CoolingDevice, Cpu, Emc, EnergyCounter, Fan, Files, GpuPolicy, GpuState, HardwareReading,
    Identity, Memory, OverCurrent, PowerModes, PowerOnError, QuickSample, Rail, Reading, WhyNot,
    Zone, gpu_memory, nodes,
};

/// The default deadline of one read. A sensor answers within milliseconds, over the slowest bus within 20. On an
/// overloaded machine a thread may wait a few hundred milliseconds for a CPU.
const READ_DEADLINE: Duration = Duration::from_millis(500);

/// The hardware below a root: a Jetson, or any other Linux machine.
#[derive(Clone)]
pub struct Hardware {
    reader: DeadlineReader,
}

/// Why a directory was not opened as the root of a machine.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The directory cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// Path of the directory.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The directory is not the root of a running or captured machine: one of `proc` and `sys` is missing or empty in it.
    #[error("{} is not the root of a machine: {missing} is missing or empty in it", root.display())]
    NotAMachine {
        /// The directory that was opened.
        root: PathBuf,
        /// The name of the directory that is missing or empty.
        missing: &'static str,
    },
}

impl Hardware {
    /// Opens the machine below a root: `/`, or a directory with the files of another machine. The files are searched for
    /// devices with each reading, so devices may come and go.
    ///
    /// # Errors
    /// [`OpenError`] if the directory is not the root of a machine.
    pub fn open(root: impl AsRef<Path>) -> Result<Self, OpenError> {
        let root = root.as_ref();
        let entries = |path: &Path| match std::fs::read_dir(path) {
            Ok(mut entries) => Ok(entries.next().is_some()),
            Err(source) => Err(OpenError::Unreadable { path: path.to_owned(), source }),
        };
        entries(root)?;
        for missing in ["proc", "sys"] {
            let path = root.join(missing);
            if !path.is_dir() || !entries(&path)? {
                return Err(OpenError::NotAMachine { root: root.to_owned(), missing });
            }
        }
        Ok(Self::new(Arc::new(Root::new(root))))
    }

    /// Creates a machine with another source of files, such as a [`CapturedTree`](crate::CapturedTree) in memory.
    pub fn new(files: Arc<dyn Files>) -> Self {
        Self { reader: DeadlineReader::new(files, READ_DEADLINE) }
    }

    /// Sets the deadline of one read, 500 ms by default.
    #[must_use]
    pub fn with_read_deadline(mut self, deadline: Duration) -> Self {
        self.reader.set_deadline(deadline);
        self
    }

    /// Reads everything. A file that blocks costs one deadline and is then skipped until its read has returned.
    pub fn sample(&self) -> HardwareReading {
        self.reader.read(HardwareReading::read)
    }

    /// Reads only the values that change from second to second.
    pub fn quick_sample(&self) -> QuickSample {
        self.reader.read(QuickSample::read)
    }

    /// Reads only the model, chip, module and release.
    pub fn identity(&self) -> Identity {
        self.reader.read(Identity::read)
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

    /// Reads only the temperatures of other devices, such as network cards and SSDs, with their own limits as trips.
    ///
    /// # Errors
    /// [`WhyNot`] if sensors cannot be listed.
    pub fn sensors(&self) -> Reading<Vec<Zone>> {
        self.reader.read(|files| Zone::other_devices(files, Chip::all(files).as_deref()))
    }

    /// Reads only the kernel's cooling devices.
    ///
    /// # Errors
    /// [`WhyNot`] if they cannot be listed.
    pub fn cooling(&self) -> Reading<Vec<CoolingDevice>> {
        self.reader.read(CoolingDevice::all)
    }

    /// Reads only the counters of over-current events.
    ///
    /// # Errors
    /// [`WhyNot`] if chips cannot be listed.
    pub fn over_current(&self) -> Reading<Vec<OverCurrent>> {
        self.reader.read(OverCurrent::all)
    }

    /// Reads only the power of the rails, sorted by name. [`Rail::total`] returns the power of the whole machine.
    ///
    /// # Errors
    /// [`WhyNot::Absent`] if no chip measures them, [`WhyNot::Forbidden`] if the caller may not read their names: with
    /// JetPack 5 only root may.
    pub fn rails(&self) -> Reading<Vec<Rail>> {
        self.reader.read(Rail::all)
    }

    /// Reads only the energy counters. Two readings give the power of each; see [`EnergyCounter::rails`].
    ///
    /// # Errors
    /// [`WhyNot`] if counters cannot be listed.
    pub fn energy(&self) -> Reading<Vec<EnergyCounter>> {
        self.reader.read(EnergyCounter::all)
    }

    /// Reads only the GPU's load, clocks and power state.
    ///
    /// # Errors
    /// [`WhyNot::Absent`] if there is no GPU of a known kind.
    pub fn gpu(&self) -> Reading<GpuState> {
        self.reader.read(GpuState::read)
    }

    /// Reads only the memory that each process has allocated through the GPU's driver, by PID; see
    /// [`Memory::gpu_by_pid`]. [`group_gpu_memory`](crate::group_gpu_memory) adds it up.
    ///
    /// # Errors
    /// [`WhyNot`] if it is not known.
    pub fn gpu_memory(&self) -> Reading<BTreeMap<u32, Bytes>> {
        self.reader.read(|files| gpu_memory::read(files).0)
    }

    /// Determines the device policy of a unit that uses the GPU.
    ///
    /// # Errors
    /// [`WhyNot`] if the kernel's list of drivers cannot be read.
    pub fn gpu_policy(&self) -> Reading<GpuPolicy> {
        self.reader.read(GpuPolicy::find)
    }

    /// Switches the GPU of a Tegra on if it was not used since boot, so that all of its nodes exist: most of them appear
    /// only at its first use. To be called before the start of a unit that uses the GPU.
    ///
    /// A unit's `DeviceAllow=char-…` is resolved when the unit starts. If nvgpu has not yet registered its second region
    /// by then, the unit cannot open the GPU although it is allowed to. On a desktop the X server uses the GPU long
    /// before; on a headless board the first program may be its first user.
    ///
    /// `retry` is called after each check that failed. It should wait a moment, and return `false` to give up.
    ///
    /// # Errors
    /// [`PowerOnError`] if the GPU cannot be switched on, or its nodes do not appear.
    pub fn power_on_gpu(&self, retry: impl FnMut() -> bool) -> Result<Outcome, PowerOnError> {
        nodes::power_on(self.reader.files(), retry)
    }

    /// Reads only the CPUs and their clocks.
    ///
    /// # Errors
    /// [`WhyNot`] if the kernel's lists of CPUs cannot be read.
    pub fn cpus(&self) -> Reading<Vec<Cpu>> {
        self.reader.read(Cpu::all)
    }

    /// Returns `true` if the lowest allowed rate of every clock is the highest allowed rate, as `jetson_clocks` sets them.
    ///
    /// This is also true if the power mode allows only one rate.
    ///
    /// # Errors
    /// [`WhyNot`] of the first clock that cannot be read.
    pub fn clocks_held(&self) -> Reading<bool> {
        self.reader.read(clocks_held)
    }

    /// Reads only the memory controller's clock and load.
    pub fn emc(&self) -> Emc {
        self.reader.read(Emc::read)
    }

    /// Reads only the memory values.
    pub fn memory(&self) -> Memory {
        self.reader.read(Memory::read)
    }

    /// Reads only the fan's drive and speed.
    pub fn fan(&self) -> Fan {
        self.reader.read(Fan::read)
    }

    /// Reads only the power modes from nvpmodel's files. [`PowerControl`](crate::PowerControl) switches them.
    pub fn power_modes(&self) -> PowerModes {
        self.reader.read(PowerModes::read)
    }

    /// Reads only the kernel's own memory counters. No driver is involved, so this never blocks.
    pub(crate) fn system_memory(&self) -> SystemMemory {
        SystemMemory::read(self.reader.files())
    }

    /// Returns `true` if the chip is a Tegra, whose GPU has no memory of its own.
    pub(crate) fn is_tegra(&self) -> bool {
        chip(self.reader.files()).is_ok_and(|chip| chip.starts_with("tegra"))
    }

    /// Reads a value from the files; a file that blocks fails with `TimedOut`.
    pub(crate) fn read_with_deadline<T: Send + 'static>(
        &self,
        read_value: impl Fn(&dyn Files) -> T + Clone + Send + 'static,
    ) -> T {
        self.reader.read(read_value)
    }
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
    fn only_the_root_of_a_machine_is_opened() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let missing = |path: &Path| match Hardware::open(path).map(drop).unwrap_err() {
            OpenError::NotAMachine { missing, .. } => missing,
            error @ OpenError::Unreadable { .. } => panic!("{error}"),
        };
        assert_eq!(missing(root), "proc");
        std::fs::create_dir_all(root.join("proc/1")).unwrap();
        assert_eq!(missing(root), "sys");
        std::fs::create_dir(root.join("sys")).unwrap();
        assert_eq!(missing(root), "sys", "the empty directory of an image that is not mounted");
        let message = Hardware::open(root).map(drop).unwrap_err().to_string();
        assert!(message.ends_with("is not the root of a machine: sys is missing or empty in it"));
        std::fs::write(root.join("sys/class"), "").unwrap();
        assert!(Hardware::open(root).is_ok());
        std::fs::write(root.join("file"), "").unwrap();
        for none in ["file", "none"] {
            let error = Hardware::open(root.join(none)).map(drop).unwrap_err();
            assert!(matches!(error, OpenError::Unreadable { .. }), "{error}");
        }
    }

    #[test]
    fn this_machine_can_be_read() {
        let sample = Board::sample(&Hardware::open("/").unwrap());
        assert!(sample.memory_available.unwrap() <= sample.memory_total.unwrap());
    }
}
