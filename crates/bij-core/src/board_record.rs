//! What is kept of the board: what an attempt's life was like for it, and how it was, minute by minute.

use serde::{Deserialize, Serialize};

use crate::{Bytes, Celsius, Millijoules, Milliwatts, Percent, TimeSpan, Timestamp};

/// A temperature, and where it was measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hottest {
    /// The zone: `tj`, `cpu`.
    pub zone: String,
    /// How hot it was there.
    pub celsius: Celsius,
}

/// What the board went through during an attempt's life. It is known only of lives that were watched
/// from their beginning to their end, and each part only where the board has such sensors.
///
/// All figures are those of the whole board, whatever else was running on it: no sensor tells
/// experiments apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptBoard {
    /// The highest temperature.
    pub hottest: Option<Hottest>,
    /// What the board drew in all: its total power, integrated.
    pub energy: Option<Millijoules>,
    /// How long something was slowed down by heat.
    pub throttled: Option<TimeSpan>,
    /// How often the power supply was too weak.
    pub over_current: Option<u64>,
}

/// The least, the mean and the most of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread<T> {
    /// The least.
    pub min: T,
    /// The mean of the samples.
    pub mean: T,
    /// The most.
    pub max: T,
}

/// How the board was over some time, a minute as a rule: what is left of its samples.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoardMinute {
    /// When it began; clocks jump.
    pub at: Timestamp,
    /// From its first sample to its last.
    pub span: TimeSpan,
    /// How many samples it is made of.
    pub samples: u32,
    /// The hottest zone at its hottest moment.
    pub hottest: Option<Hottest>,
    /// The temperature of whichever zone was the hottest.
    pub celsius: Option<Spread<Celsius>>,
    /// What the whole board drew.
    pub power: Option<Spread<Milliwatts>>,
    /// How busy the GPU was, on the mean.
    pub gpu_load: Option<Percent>,
    /// The least memory that could be had without swapping.
    pub memory_available: Option<Bytes>,
    /// In how many samples something was slowed down by heat.
    pub throttled: Option<u32>,
}

impl BoardMinute {
    /// How many are kept, the newest: thirty days of minutes in which something ran.
    pub const KEPT: usize = 30 * 24 * 60;
}
