//! The thresholds.

use bij_core::definition::CoordinatorSettings;
use bij_core::{Celsius, TimeSpan};
use thiserror::Error;

/// From where on the ladder acts, and how often it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeatSettings {
    throttle: Celsius,
    critical: Celsius,
    interval: TimeSpan,
}

/// No room is left for throttling before everything is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the critical temperature, {critical}, is not above the one to throttle at, {throttle}")]
pub struct NoRoom {
    /// The temperature to throttle at.
    pub throttle: Celsius,
    /// The critical one.
    pub critical: Celsius,
}

impl HeatSettings {
    /// Experiments are held back from `throttle` on and stopped from `critical` on; while it is cool
    /// temperatures are read once an `interval`.
    ///
    /// # Errors
    /// [`NoRoom`] unless `critical` is above `throttle`.
    pub fn new(throttle: Celsius, critical: Celsius, interval: TimeSpan) -> Result<Self, NoRoom> {
        if throttle < critical {
            Ok(Self { throttle, critical, interval })
        } else {
            Err(NoRoom { throttle, critical })
        }
    }

    /// From here on experiments are held back.
    pub fn throttle(&self) -> Celsius {
        self.throttle
    }

    /// From here on all experiments are stopped.
    pub fn critical(&self) -> Celsius {
        self.critical
    }

    /// How often temperatures are read while it is cool.
    pub fn interval(&self) -> TimeSpan {
        self.interval
    }
}

impl TryFrom<&CoordinatorSettings> for HeatSettings {
    type Error = NoRoom;

    /// Of what the settings file says, or the defaults.
    fn try_from(settings: &CoordinatorSettings) -> Result<Self, NoRoom> {
        Self::new(settings.throttle(), settings.critical(), settings.temperature_interval())
    }
}
