//! Time as an argument.

use bij_core::{TimeSpan, Timestamp};

/// Readings of the clocks. A coordinator has no clock of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Time of day (`CLOCK_REALTIME`), for output and for "not before". It may jump.
    pub at: Timestamp,
    /// Time since the boot (`CLOCK_BOOTTIME`), for delays and intervals. It never goes back.
    pub uptime: TimeSpan,
}
