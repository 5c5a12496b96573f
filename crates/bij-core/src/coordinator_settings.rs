//! The settings of the coordinator: limits for all experiments together.

use std::collections::BTreeMap;

use crate::queue::GroupName;
use crate::spec::ExtrasPolicy;
use crate::{Bytes, Celsius, Limit, MemoryLimit, Percent, TimeSpan};

/// The settings of the coordinator. The methods return the settings with their defaults.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct CoordinatorSettings {
    /// The most experiments that run at the same time: `MAX_CONCURRENT_EXPERIMENTS`.
    pub max_concurrent: Option<u32>,
    /// The memory that all experiments may claim together: `TOTAL_RAM_LIMIT_GB`.
    pub total_memory: Option<MemoryLimit>,
    /// The memory that must stay available when an experiment uses its whole claim.
    pub reserve_memory: Option<MemoryLimit>,
    /// The memory pressure above which nothing is started: PSI, `some avg10`.
    pub max_pressure: Option<Percent>,
    /// How often smaller runs may pass a larger run that waits for capacity.
    pub max_bypass: Option<u32>,
    /// How long after the boot nothing is started.
    pub boot_grace: Option<TimeSpan>,
    /// The interval of health checks: `HEALTH_CHECK_INTERVAL_SECONDS`.
    pub health_check_interval: Option<TimeSpan>,
    /// How long an experiment may exceed the GPU memory of its definition.
    pub gpu_memory_grace: Option<TimeSpan>,
    /// The interval of temperature readings while the board is cool: `TEMPERATURE_CHECK_INTERVAL_SECONDS`.
    pub temperature_check_interval: Option<TimeSpan>,
    /// The temperature in degrees from which on experiments are throttled: `THROTTLE_TEMP_CELSIUS`.
    pub throttle_celsius: Option<f64>,
    /// The temperature in degrees from which on all experiments are stopped: `CRITICAL_TEMP_CELSIUS`.
    pub critical_celsius: Option<f64>,
    /// Whether thermal control may limit the clock of the GPU; by default only on a Jetson.
    pub cap_gpu: Option<bool>,
    /// Whether the earlier power mode is restored when no run needs another mode: `[power] restore`.
    pub restore_power_mode: Option<bool>,
    /// The most runs of a group that run at the same time: `[groups.NAME] slots`. The operator's own number
    /// overrides it.
    pub groups: BTreeMap<GroupName, u32>,
    /// `[policy]`: the defaults of the policies of definitions.
    pub policy: ExtrasPolicy,
}

/// As in the older tool.
const SLOTS: u32 = 4;
/// Leaves memory for the system, the page cache and GPU use beyond the claims.
const BUDGET: Percent = Percent::new(80);
/// Enough to avoid direct reclaim by the kernel, on small and on large machines.
const RESERVE: Percent = Percent::new(5);
/// When tasks wait for memory a fifth of the time, another program would slow down all others.
const PRESSURE: Percent = Percent::new(20);
/// As in the older tool. Boards of the Orin family throttle themselves at 99 °C and shut down at 104.5 °C, so
/// thermal control acts well before.
const THROTTLE: Celsius = Celsius::new(75);
/// As in the older tool.
const CRITICAL: Celsius = Celsius::new(85);
/// Long enough for a program that loads more memory at first and then releases part of it.
const GPU_MEMORY_GRACE: TimeSpan = TimeSpan::from_secs(10);
/// In this time a die under full load warms by a few degrees, a heat sink by less than one.
const TEMPERATURE_INTERVAL: TimeSpan = TimeSpan::from_secs(5);
/// Twice the number of slots: short runs fill the gaps, and a large run still gets its turn.
const BYPASS: u32 = 8;

impl CoordinatorSettings {
    /// Returns the most experiments that run at the same time; 4 by default.
    pub fn slots(&self) -> u32 {
        self.max_concurrent.unwrap_or(SLOTS)
    }

    /// Returns the memory that all experiments may claim together on a machine with `total` bytes; 80 % of
    /// them by default.
    pub fn budget(&self, total: Bytes) -> Limit<Bytes> {
        self.total_memory.unwrap_or(MemoryLimit::Share(BUDGET)).resolve(total)
    }

    /// Returns the memory that must stay available on a machine with `total` bytes; 5 % of them by default.
    pub fn reserve(&self, total: Bytes) -> Bytes {
        let reserve = self.reserve_memory.unwrap_or(MemoryLimit::Share(RESERVE));
        // The parser refuses an unlimited reserve; it would be the whole memory.
        reserve.resolve(total).at().unwrap_or(total)
    }

    /// Returns the memory pressure above which nothing is started; 20 % by default.
    pub fn pressure(&self) -> Percent {
        self.max_pressure.unwrap_or(PRESSURE)
    }

    /// Returns how often smaller runs may pass a larger run; 8 times by default.
    pub fn bypass(&self) -> u32 {
        self.max_bypass.unwrap_or(BYPASS)
    }

    /// Returns how long after the boot nothing is started; zero by default.
    pub fn grace(&self) -> TimeSpan {
        self.boot_grace.unwrap_or_default()
    }

    /// Returns the interval of health checks; 30 s by default.
    pub fn health_interval(&self) -> TimeSpan {
        self.health_check_interval.unwrap_or(TimeSpan::from_secs(30))
    }

    /// Returns how long an experiment may exceed its GPU memory; 10 s by default.
    pub fn gpu_memory_grace(&self) -> TimeSpan {
        self.gpu_memory_grace.unwrap_or(GPU_MEMORY_GRACE)
    }

    /// Returns the temperature from which on experiments are throttled; 75 °C by default.
    pub fn throttle(&self) -> Celsius {
        self.throttle_celsius.map_or(THROTTLE, Celsius::from_degrees)
    }

    /// Returns the temperature from which on all experiments are stopped; 85 °C by default. In parsed
    /// settings it is above [`throttle`](Self::throttle).
    pub fn critical(&self) -> Celsius {
        self.critical_celsius.map_or(CRITICAL, Celsius::from_degrees)
    }

    /// Returns the interval of temperature readings while the board is cool; 5 s by default.
    pub fn temperature_interval(&self) -> TimeSpan {
        self.temperature_check_interval.unwrap_or(TEMPERATURE_INTERVAL)
    }

    /// Returns whether the earlier power mode is restored when no run needs another mode; `false` by default.
    pub fn restores_power_mode(&self) -> bool {
        self.restore_power_mode.unwrap_or(false)
    }

    /// Returns the problem of a critical temperature that is not above the throttling temperature.
    pub fn check_thresholds(&self) -> Option<String> {
        let (throttle, critical) = (self.throttle(), self.critical());
        (throttle >= critical)
            .then(|| format!("{critical} is not above the throttling temperature of {throttle}"))
    }
}
