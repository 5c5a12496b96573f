//! The time, as it is told to a coordinator.

use bij_core::{TimeSpan, Timestamp};

/// What the clocks show. A coordinator has none of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The time of day, `CLOCK_REALTIME`: what people are told, and what "not before" means. It
    /// may jump.
    pub at: Timestamp,
    /// The time since the boot, `CLOCK_BOOTTIME`: what waits and intervals are measured by. It
    /// never goes back.
    pub uptime: TimeSpan,
}
