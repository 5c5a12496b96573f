//! The clocks of a simulated machine.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bij_core::{TimeSpan, Timestamp, Uptime};

/// The time of day and the uptime, which drift apart when the former is set. Clones share
/// the same clocks.
#[derive(Clone, Debug, Default)]
pub struct SimClock(Arc<Mutex<Hands>>);

#[derive(Debug, Default)]
struct Hands {
    /// Microseconds since the epoch.
    wall: i64,
    uptime: Uptime,
}

impl SimClock {
    /// Returns the clocks of a machine that boots at this time of day.
    pub fn at_boot(at: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(Hands { wall: at.as_micros(), uptime: Uptime::BOOT })))
    }

    /// Returns the time of day, `CLOCK_REALTIME`.
    pub fn at(&self) -> Timestamp {
        Timestamp::from_micros(self.hands().wall)
    }

    /// Returns the uptime of the machine.
    pub fn uptime(&self) -> Uptime {
        self.hands().uptime
    }

    /// Advances both clocks.
    pub fn advance(&self, span: TimeSpan) {
        let mut hands = self.hands();
        let wall = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        hands.wall = hands.wall.saturating_add(wall);
        hands.uptime = hands.uptime + span;
    }

    /// Sets the time of day forward or, if negative, back by this number of microseconds.
    pub fn jump(&self, micros: i64) {
        let mut hands = self.hands();
        hands.wall = hands.wall.saturating_add(micros);
    }

    /// Resets the uptime, as a reboot does.
    pub fn reboot(&self) {
        self.hands().uptime = Uptime::BOOT;
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_day_jumps_and_the_uptime_does_not() {
        let clock = SimClock::at_boot(Timestamp::from_micros(1_000_000));
        clock.advance(TimeSpan::from_secs(2));
        clock.jump(-2_500_000);
        assert_eq!(clock.at(), Timestamp::from_micros(500_000));
        assert_eq!(clock.uptime(), Uptime::from_secs(2));
        clock.reboot();
        assert_eq!(clock.uptime(), Uptime::BOOT);
        assert_eq!(clock.at(), Timestamp::from_micros(500_000), "the time of day goes on");
    }
}
