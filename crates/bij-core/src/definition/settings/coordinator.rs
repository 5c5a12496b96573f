//! `[coordinator]`: how much may run at the same time.

use std::collections::BTreeMap;

use crate::definition::policy::Policy;
use crate::queue::GroupName;
use crate::{Bytes, Celsius, Limit, MemoryLimit, Percent, TimeSpan};

/// The coordinator's settings. What is absent has a default, which the method of the same purpose
/// knows.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct CoordinatorSettings {
    /// How many experiments run at the same time at most: `MAX_CONCURRENT_EXPERIMENTS`.
    pub max_concurrent: Option<u32>,
    /// The memory that all experiments may claim together: `TOTAL_RAM_LIMIT_GB`.
    pub total_memory: Option<MemoryLimit>,
    /// The memory that must be left over on the machine when an experiment has all that it claims.
    pub reserve_memory: Option<MemoryLimit>,
    /// The memory pressure above which nothing is started: PSI, `some avg10`.
    pub max_pressure: Option<Percent>,
    /// How often smaller runs may pass a larger one that waits for room.
    pub max_bypass: Option<u32>,
    /// For how long after the boot nothing is started.
    pub boot_grace: Option<TimeSpan>,
    /// `HEALTH_CHECK_INTERVAL_SECONDS`.
    pub health_check_interval: Option<TimeSpan>,
    /// For how long an experiment may have more of the GPU's memory than its definition says.
    pub gpu_memory_grace: Option<TimeSpan>,
    /// How often temperatures are read while it is cool: `TEMPERATURE_CHECK_INTERVAL_SECONDS`.
    pub temperature_check_interval: Option<TimeSpan>,
    /// From here on the board is cooled by throttling, in degrees: `THROTTLE_TEMP_CELSIUS`.
    pub throttle_celsius: Option<f64>,
    /// From here on everything is stopped, in degrees: `CRITICAL_TEMP_CELSIUS`.
    pub critical_celsius: Option<f64>,
    /// Whether the GPU's clock is bounded when the board is hot; unless set, on a Jetson.
    pub cap_gpu: Option<bool>,
    /// Whether the power mode that was in force comes back when nobody wants another: `[power] restore`.
    pub restore_power_mode: Option<bool>,
    /// How many of a group's runs run at the same time at most: `[groups.NAME] slots`. A number that
    /// the operator has set is stronger.
    pub groups: BTreeMap<GroupName, u32>,
    /// `[policy]`: what members may add to runs whose definition does not say.
    pub policy: Policy,
}

/// The older tool's own number.
const SLOTS: u32 = 4;
/// The rest is for the system, page cache and what the GPU takes besides the claims.
const BUDGET: Percent = Percent::new(80);
/// Enough that the kernel need not reclaim in haste, on small machines and on large ones.
const RESERVE: Percent = Percent::new(5);
/// Where every fifth moment is lost to waiting for memory, one more program makes it worse for all.
const PRESSURE: Percent = Percent::new(20);
/// The older tool's own numbers. The boards of the Orin family slow themselves down at 99 °C and go
/// down at 104.5 °C, so there is room for a ladder below.
const THROTTLE: Celsius = Celsius::new(75);
const CRITICAL: Celsius = Celsius::new(85);
/// Long enough for what is loaded in one piece and then cut to size.
const GPU_MEMORY_GRACE: TimeSpan = TimeSpan::from_secs(10);
/// A die under full load warms by a few degrees in this time, a heat sink by less than one.
const TEMPERATURE_INTERVAL: TimeSpan = TimeSpan::from_secs(5);
/// Twice as many as there are slots: short runs fill the gaps, and a large one sees its turn.
const BYPASS: u32 = 8;

impl CoordinatorSettings {
    /// How many experiments may run at the same time; 4 unless set.
    pub fn slots(&self) -> u32 {
        self.max_concurrent.unwrap_or(SLOTS)
    }

    /// How much memory they may claim together on a machine with so much; 80 % of it unless set.
    pub fn budget(&self, total: Bytes) -> Limit<Bytes> {
        self.total_memory.unwrap_or(MemoryLimit::Share(BUDGET)).resolve(total)
    }

    /// How much memory must be left over on a machine with so much; 5 % of it unless set.
    pub fn reserve(&self, total: Bytes) -> Bytes {
        let reserve = self.reserve_memory.unwrap_or(MemoryLimit::Share(RESERVE));
        // A reserve without bound is refused where it is read; it would be all there is.
        reserve.resolve(total).at().unwrap_or(total)
    }

    /// The memory pressure above which nothing is started; 20 % unless set.
    pub fn pressure(&self) -> Percent {
        self.max_pressure.unwrap_or(PRESSURE)
    }

    /// How often smaller runs may pass a larger one; 8 times unless set.
    pub fn bypass(&self) -> u32 {
        self.max_bypass.unwrap_or(BYPASS)
    }

    /// For how long after the boot nothing is started; not at all unless set.
    pub fn grace(&self) -> TimeSpan {
        self.boot_grace.unwrap_or_default()
    }

    /// How often the health of what runs is looked at; every 30 s unless set.
    pub fn health_interval(&self) -> TimeSpan {
        self.health_check_interval.unwrap_or(TimeSpan::from_secs(30))
    }

    /// For how long an experiment may have more of the GPU's memory than it may; 10 s unless set.
    pub fn gpu_memory_grace(&self) -> TimeSpan {
        self.gpu_memory_grace.unwrap_or(GPU_MEMORY_GRACE)
    }

    /// From here on experiments are held back until it is cooler; 75 °C unless set.
    pub fn throttle(&self) -> Celsius {
        self.throttle_celsius.map_or(THROTTLE, Celsius::from_degrees)
    }

    /// From here on every experiment is stopped; 85 °C unless set. It is above
    /// [`throttle`](Self::throttle) in all settings that were read.
    pub fn critical(&self) -> Celsius {
        self.critical_celsius.map_or(CRITICAL, Celsius::from_degrees)
    }

    /// How often temperatures are read while it is cool; every 5 s unless set.
    pub fn temperature_interval(&self) -> TimeSpan {
        self.temperature_check_interval.unwrap_or(TEMPERATURE_INTERVAL)
    }

    /// Whether the power mode that was in force comes back when nobody wants another; not unless set.
    pub fn restores_power_mode(&self) -> bool {
        self.restore_power_mode.unwrap_or(false)
    }

    /// What is wrong with the two thresholds together: no room is left for throttling.
    pub(super) fn heat_objection(&self) -> Option<String> {
        let (throttle, critical) = (self.throttle(), self.critical());
        (throttle >= critical)
            .then(|| format!("{critical} is not above {throttle}, from where on it is throttled"))
    }
}
