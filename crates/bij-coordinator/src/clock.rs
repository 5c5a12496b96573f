//! The clocks of a coordinator: their readings are arguments of its functions.

use std::future::Future;

use bij_core::{TimeSpan, Timestamp, Uptime};

/// Readings of the clocks. A coordinator has no clock of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Time of day (`CLOCK_REALTIME`), for output and for "not before". It may jump.
    pub at: Timestamp,
    /// Uptime, for delays and intervals. It never goes back.
    pub uptime: Uptime,
}

/// A source of time.
pub trait Clock {
    /// Returns the readings of the clocks.
    fn now(&self) -> Now;

    /// Waits for this time span.
    fn sleep(&self, span: TimeSpan) -> impl Future<Output = ()> + Send;
}
