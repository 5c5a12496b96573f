//! A machine, read as a whole.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bij_core::Milliwatts;

use crate::hwmon::Chip;
use crate::identity::chip;
use crate::memory::SystemMemory;
use crate::patience::Patience;
use crate::thermal::Trips;
use crate::{
    CoolingDevice, Cpu, Emc, EnergyCounter, Fan, Files, Gpu, Identity, Memory, OverCurrent,
    PowerModes, Pulse, Rail, Reading, Root, Zone, clocks_held,
};

/// A sensor answers within milliseconds, over the slowest bus within some 20. A machine at its limits
/// may let a thread wait for a few hundred.
const PATIENCE: Duration = Duration::from_millis(500);

/// The hardware below a root: a Jetson, or any other Linux machine.
#[derive(Clone)]
pub struct Machine {
    patience: Patience,
}

/// One reading of everything.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BoardSample {
    /// Which machine it is.
    pub identity: Identity,
    /// How hot the processor, the GPU and the rest of their chip are.
    pub zones: Reading<Vec<Zone>>,
    /// How hot other devices are, with their own limits: network cards, SSDs, the board.
    pub sensors: Reading<Vec<Zone>>,
    /// What the kernel does about heat.
    pub cooling: Reading<Vec<CoolingDevice>>,
    /// How often the power supply was too weak.
    pub over_current: Reading<Vec<OverCurrent>>,
    /// The power of each rail.
    pub rails: Reading<Vec<Rail>>,
    /// What the machine draws in all.
    pub total: Reading<Milliwatts>,
    /// Energy counters, of which two readings make a power.
    pub energy: Reading<Vec<EnergyCounter>>,
    /// The GPU.
    pub gpu: Reading<Gpu>,
    /// The processors.
    pub cpus: Reading<Vec<Cpu>>,
    /// The memory controller.
    pub emc: Emc,
    /// Memory, and the GPU's share of it.
    pub memory: Memory,
    /// The fan.
    pub fan: Fan,
    /// Power modes.
    pub power: PowerModes,
}

impl Machine {
    /// The machine below a root: `/`, or a directory that looks like one.
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Self::new(Arc::new(Root::new(root)))
    }

    /// A machine whose files come from elsewhere.
    pub fn new(files: Arc<dyn Files>) -> Self {
        Self { patience: Patience::new(files, PATIENCE) }
    }

    /// The same, waiting so long for a single file.
    #[must_use]
    pub fn with_patience(mut self, limit: Duration) -> Self {
        self.patience.set_limit(limit);
        self
    }

    /// Reads everything. A file that does not answer costs its patience once; then it is left out until
    /// it has answered.
    pub fn sample(&self) -> BoardSample {
        self.patience.take(BoardSample::read)
    }

    /// Reads only the memory.
    pub fn memory(&self) -> Memory {
        self.patience.take(Memory::read)
    }

    /// Whether all clocks are held where they are, by whomever; see [`clocks_held`].
    ///
    /// # Errors
    /// [`WhyNot`](crate::WhyNot) of the first clock that does not tell.
    pub fn clocks_held(&self) -> Reading<bool> {
        self.patience.take(clocks_held)
    }

    /// Reads only the energy counters: two readings of them make powers, see
    /// [`EnergyCounter::rails`].
    ///
    /// # Errors
    /// [`WhyNot`](crate::WhyNot) if counters cannot even be listed.
    pub fn energy(&self) -> Reading<Vec<EnergyCounter>> {
        self.patience.take(EnergyCounter::all)
    }

    /// Reads only what the kernel tells of memory from its own counters: no device is asked, so that
    /// nothing can block.
    pub(crate) fn system_memory(&self) -> SystemMemory {
        SystemMemory::read(self.patience.files())
    }

    /// Whether the chip is one whose GPU has no memory of its own.
    pub(crate) fn is_tegra(&self) -> bool {
        chip(self.patience.files()).is_ok_and(|chip| chip.starts_with("tegra"))
    }

    /// Reads only how hot the processor, the GPU and the rest of their chip are, with the trips.
    ///
    /// # Errors
    /// [`WhyNot`](crate::WhyNot) if zones cannot even be listed.
    pub fn zones(&self) -> Reading<Vec<Zone>> {
        self.patience.take(Zone::all)
    }

    /// Reads only how hot the processor, the GPU and the rest of their chip are, without the trips: what is
    /// needed often, and must not wait for anything else.
    ///
    /// # Errors
    /// [`WhyNot`](crate::WhyNot) if zones cannot even be listed.
    pub fn temperatures(&self) -> Reading<Vec<Zone>> {
        self.patience.take(Zone::temperatures)
    }

    /// Does something with the files; one that blocks is given up.
    pub(crate) fn patiently<T: Send + 'static>(
        &self,
        take: impl Fn(&dyn Files) -> T + Clone + Send + 'static,
    ) -> T {
        self.patience.take(take)
    }

    /// Reads only what is kept from one second to the next.
    pub fn pulse(&self) -> Pulse {
        self.patience.take(Pulse::read)
    }
}

impl BoardSample {
    pub(crate) fn read(files: &dyn Files) -> Self {
        // Zones, counters, rails and the fan are all among them.
        let chips = Chip::all(files);
        let among = || chips.as_deref().map_err(Clone::clone);
        let rails = among().and_then(|chips| Rail::with(files, chips));
        Self {
            identity: Identity::read(files),
            zones: Zone::with(files, among().unwrap_or_default(), Trips::Read),
            sensors: Zone::of_others(files, among().unwrap_or_default()),
            cooling: CoolingDevice::all(files),
            over_current: among().map(|chips| OverCurrent::with(files, chips)),
            total: rails.clone().and_then(|rails| Rail::total(&rails)),
            rails,
            energy: EnergyCounter::all(files),
            gpu: Gpu::read(files),
            cpus: Cpu::all(files),
            emc: Emc::read(files),
            memory: Memory::read(files),
            fan: match among() {
                Ok(chips) => Fan::with(files, chips),
                Err(why) => Fan::unknown(&why),
            },
            power: PowerModes::read(files),
        }
    }

    /// What is slowed down by heat now: see [`CoolingDevice::throttled`].
    ///
    /// # Errors
    /// [`WhyNot`](crate::WhyNot) if that cannot be told.
    pub fn throttled(&self) -> Reading<Vec<&str>> {
        CoolingDevice::throttled(self.cooling.as_ref().map_err(Clone::clone)?)
    }
}
