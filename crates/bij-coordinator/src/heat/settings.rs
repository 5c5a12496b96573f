//! Thresholds of heat control.

use bij_core::CoordinatorSettings;
use bij_core::{Celsius, TimeSpan};
use thiserror::Error;

/// Thresholds of the ladder, and its interval of observations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeatSettings {
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

impl HeatSettings {
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

impl TryFrom<&CoordinatorSettings> for HeatSettings {
    type Error = ThresholdsTooClose;

    /// Takes the thresholds of the settings, or their defaults.
    fn try_from(settings: &CoordinatorSettings) -> Result<Self, ThresholdsTooClose> {
        Self::new(settings.throttle(), settings.critical(), settings.temperature_interval())
    }
}
