//! Samples of the board, and its power mode.

use crate::{Bytes, Timestamp};

/// One sample of the board that the coordinator has kept. Unknown values are `None`.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RecordedSample {
    /// The time of day, which may be set.
    pub at: Timestamp,
    /// The time in microseconds since the boot (`CLOCK_BOOTTIME`), which only increases.
    pub uptime_usec: u64,
    /// The thermal zones that could be read.
    pub zones: Vec<ZoneSample>,
    /// Power of the whole board.
    #[cfg_attr(feature = "serde", serde(default))]
    pub total_milliwatts: Option<i64>,
    /// Load of the GPU.
    #[cfg_attr(feature = "serde", serde(default))]
    pub gpu_load_percent: Option<f64>,
    /// Memory available without swapping.
    #[cfg_attr(feature = "serde", serde(default))]
    pub memory_available: Option<Bytes>,
    /// Whether any processor was throttled for heat.
    #[cfg_attr(feature = "serde", serde(default))]
    pub throttled: Option<bool>,
    /// Over-current events since the boot.
    #[cfg_attr(feature = "serde", serde(default))]
    pub over_current_events: Option<u64>,
}

/// The temperature of one thermal zone.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ZoneSample {
    /// Name of the zone: `tj`, `cpu`.
    pub name: String,
    /// Temperature in degrees Celsius.
    pub celsius: f64,
}

/// A query of samples of the board.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct BoardQuery {
    /// Only samples later than this, in microseconds since the boot.
    #[cfg_attr(feature = "serde", serde(default))]
    pub after_usec: u64,
}

/// A request to switch the board to a power mode.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct PowerModeRequest {
    /// The name or number of the mode.
    pub mode: String,
    /// Whether a mode that needs a reboot may take effect at the next boot; nothing is rebooted.
    #[cfg_attr(feature = "serde", serde(default))]
    pub allow_reboot_later: bool,
}

/// The result of a switch.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PowerSet {
    /// The number of the mode.
    pub id: u32,
    /// The name of the mode.
    pub name: String,
    /// Whether the mode takes effect only at the next boot.
    pub at_next_boot: bool,
    /// Whether the request changed anything.
    pub changed: bool,
}
