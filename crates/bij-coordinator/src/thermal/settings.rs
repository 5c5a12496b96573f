//! Thresholds of thermal control, and which of them are in force.

use bij_core::{Celsius, CoordinatorSettings, TimeSpan};
use thiserror::Error;

use super::load::RunningExperiments;

/// Thresholds that no machine reaches.
const NEVER: (Celsius, Celsius) = (Celsius::new(200), Celsius::new(210));

/// Thresholds of the ladder, and its interval of observations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThermalSettings {
    throttle: Celsius,
    critical: Celsius,
    interval: TimeSpan,
}

/// Error of a critical temperature that leaves no range for throttling below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the critical temperature, {critical}, is not above the one to throttle at, {throttle}")]
pub struct ThresholdsTooClose {
    /// Throttle temperature.
    pub throttle: Celsius,
    /// Critical temperature.
    pub critical: Celsius,
}

impl ThermalSettings {
    /// Returns settings with which experiments are restrained from `throttle` on and stopped from `critical` on;
    /// while it is cool, temperatures are read once an `interval`.
    ///
    /// # Errors
    /// [`ThresholdsTooClose`] unless `critical` is above `throttle`.
    pub fn new(
        throttle: Celsius,
        critical: Celsius,
        interval: TimeSpan,
    ) -> Result<Self, ThresholdsTooClose> {
        if throttle < critical {
            Ok(Self { throttle, critical, interval })
        } else {
            Err(ThresholdsTooClose { throttle, critical })
        }
    }

    /// Returns the thresholds in force; `None` without thermal control. On a machine that is no Jetson there is none
    /// until an operator sets a threshold: a PC's processor reaches 75 °C under any load, and its firmware protects
    /// it. The own limit of a definition is enforced anyway.
    pub fn in_force(running: &RunningExperiments, is_jetson: bool) -> Option<Self> {
        let settings = running.settings.unwrap_or_default();
        if is_jetson || running.thresholds_are_set {
            return Some(settings);
        }
        let never = Self { throttle: NEVER.0, critical: NEVER.1, interval: settings.interval };
        Some(never).filter(|_| !running.limits.is_empty())
    }

    /// Returns the temperature from which experiments are restrained.
    pub fn throttle(&self) -> Celsius {
        self.throttle
    }

    /// Returns the temperature from which all experiments are stopped.
    pub fn critical(&self) -> Celsius {
        self.critical
    }

    /// Returns the interval of readings while it is cool.
    pub fn interval(&self) -> TimeSpan {
        self.interval
    }
}

impl Default for ThermalSettings {
    /// Returns the default thresholds of the settings.
    fn default() -> Self {
        Self::try_from(&CoordinatorSettings::default()).expect("the default thresholds are valid")
    }
}

impl TryFrom<&CoordinatorSettings> for ThermalSettings {
    type Error = ThresholdsTooClose;

    /// Takes the thresholds of the settings, or their defaults.
    fn try_from(settings: &CoordinatorSettings) -> Result<Self, ThresholdsTooClose> {
        Self::new(settings.throttle(), settings.critical(), settings.temperature_interval())
    }
}
