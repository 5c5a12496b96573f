//! The clocks of this machine.

use std::time::{Duration, SystemTime};

use bij_coordinator::{Clock, Now};
use bij_core::{TimeSpan, Timestamp};
use nix::time::{ClockId, clock_gettime};

/// The kernel's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Now {
        // CLOCK_BOOTTIME has been there since Linux 2.6.39; without it nothing would be due.
        let uptime = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from);
        let micros = uptime.map_or(0, |time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        Now { at: Timestamp::from(SystemTime::now()), uptime: TimeSpan::from_micros(micros) }
    }

    async fn sleep(&self, span: TimeSpan) {
        tokio::time::sleep(Duration::from_micros(span.as_micros())).await;
    }
}
