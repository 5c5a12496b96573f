//! The record of the board: totals of each attempt, and aggregated samples minute by minute.

use crate::{Bytes, Celsius, Millijoules, Milliwatts, Percent, TimeSpan, Timestamp};

/// The highest temperature, and the zone in which it was measured.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Hottest {
    /// The thermal zone, such as `tj` or `cpu`.
    pub zone: String,
    /// The temperature in that zone.
    pub celsius: Celsius,
}

/// What the board recorded during an attempt. It exists only for attempts that were recorded from beginning
/// to end; a part is `None` if the board has no such sensor.
///
/// All figures are those of the whole board, whatever else was running on it: no sensor attributes them to
/// an experiment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AttemptBoard {
    /// The highest temperature during the attempt.
    pub hottest: Option<Hottest>,
    /// The energy that the board used: its total power, integrated.
    pub energy: Option<Millijoules>,
    /// How long any device was throttled by heat.
    pub throttled: Option<TimeSpan>,
    /// The number of over-current events of the power supply.
    pub over_current: Option<u64>,
}

/// The minimum, mean and maximum of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Spread<T> {
    /// The smallest sample.
    pub min: T,
    /// The mean of the samples.
    pub mean: T,
    /// The largest sample.
    pub max: T,
}

/// Samples of the board, aggregated over a span that is usually one minute.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct BoardMinute {
    /// When the span began. Clocks jump, so entries are not ordered by it.
    pub at: Timestamp,
    /// The time from the first sample to the last.
    pub span: TimeSpan,
    /// The number of samples.
    pub samples: u32,
    /// The zone with the highest temperature of all samples.
    pub hottest: Option<Hottest>,
    /// The temperature of the zone that was the hottest in each sample.
    pub celsius: Option<Spread<Celsius>>,
    /// The power of the whole board.
    pub power: Option<Spread<Milliwatts>>,
    /// The mean load of the GPU.
    pub gpu_load: Option<Percent>,
    /// The smallest amount of memory that was available without swapping.
    pub memory_available: Option<Bytes>,
    /// The number of samples in which any device was throttled by heat.
    pub throttled: Option<u32>,
}

impl BoardMinute {
    /// How many of the newest entries are kept: thirty days of minutes in which an experiment ran.
    pub const KEPT: usize = 30 * 24 * 60;
}
