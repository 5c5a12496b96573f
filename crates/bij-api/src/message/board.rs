//! Samples of the board.

use bij_core::{Bytes, Timestamp};
use serde::{Deserialize, Serialize};

/// One sample of the board, of those that the coordinator remembers; what was not known is `None`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoardSample {
    /// When; clocks jump.
    pub at: Timestamp,
    /// When, in microseconds since the boot (`CLOCK_BOOTTIME`): each is later than the one before.
    pub uptime_usec: u64,
    /// The zones that told how hot it was.
    pub zones: Vec<ZoneSample>,
    /// What the whole board drew.
    #[serde(default)]
    pub total_milliwatts: Option<i64>,
    /// How busy the GPU was at that moment.
    #[serde(default)]
    pub gpu_load_percent: Option<f64>,
    /// What memory could be had without swapping.
    #[serde(default)]
    pub memory_available: Option<Bytes>,
    /// Whether something was slowed down by heat.
    #[serde(default)]
    pub throttled: Option<bool>,
    /// How often the power supply was too weak since the boot.
    #[serde(default)]
    pub over_current_events: Option<u64>,
}

/// How hot it was in one place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ZoneSample {
    /// The zone: `tj`, `cpu`.
    pub name: String,
    /// The temperature.
    pub celsius: f64,
}

/// Which samples.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoardQuery {
    /// Those later than this, in microseconds since the boot.
    #[serde(default)]
    pub after_usec: u64,
}
