//! The clock of systemd's time stamps.

use std::time::Duration;

use bij_core::{MonotonicTime, TimeSpan};
use nix::time::{ClockId, clock_gettime};

/// Returns the time by `CLOCK_MONOTONIC`; `None` if it cannot be read.
pub(crate) fn monotonic() -> Option<MonotonicTime> {
    let now = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).ok()?);
    Some(MonotonicTime::BOOT + TimeSpan::from(now))
}
