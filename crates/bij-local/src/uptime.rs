//! The clock of the boot.

use std::time::Duration;

use bij_core::TimeSpan;
use nix::time::{ClockId, clock_gettime};

/// Returns the time since boot, including suspends (`CLOCK_BOOTTIME`), or `None` if the kernel does not
/// provide it. Unlike the time of day it is never set.
pub fn uptime() -> Option<TimeSpan> {
    let now = Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?);
    u64::try_from(now.as_micros()).ok().map(TimeSpan::from_micros)
}
