//! The clocks of this machine.

use std::time::SystemTime;

use bij_coordinator::{Clock, Now};
use bij_core::{TimeSpan, Timestamp};

/// The kernel's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Now {
        // Linux has CLOCK_BOOTTIME since 2.6.39.
        let uptime = bij_host::uptime().unwrap_or_default();
        Now { at: Timestamp::from(SystemTime::now()), uptime }
    }

    async fn sleep(&self, span: TimeSpan) {
        tokio::time::sleep(span.as_duration()).await;
    }
}
