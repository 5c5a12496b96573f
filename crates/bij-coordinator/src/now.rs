//! Time as an argument.

use bij_core::{Timestamp, Uptime};

/// Readings of the clocks. A coordinator has no clock of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Time of day (`CLOCK_REALTIME`), for output and for "not before". It may jump.
    pub at: Timestamp,
    /// Uptime, for delays and intervals. It never goes back.
    pub uptime: Uptime,
}
