//! The clock of the boot.

use std::time::Duration;

use bij_core::TimeSpan;
use nix::time::{ClockId, clock_gettime};

/// Returns the time since the boot, that of suspends included (`CLOCK_BOOTTIME`); it is not set, as the time
/// of day is. `None` if the kernel does not tell.
pub fn uptime() -> Option<TimeSpan> {
    let now = Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?);
    u64::try_from(now.as_micros()).ok().map(TimeSpan::from_micros)
}
