//! The earliest start of a run: a time of day, or the end of a delay.

use crate::{BootId, TimeSpan, Timestamp, Uptime};

/// The earliest start of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotBefore {
    /// A time of day by `CLOCK_REALTIME`, however that clock is set.
    At(Timestamp),
    /// The end of a delay.
    Delay(Delay),
}

impl NotBefore {
    /// Returns the earliest start that a request sets at this time and uptime of a boot: the end of a delay from now, or
    /// else a time of day.
    pub fn requested(
        at: Option<Timestamp>,
        delay: Option<TimeSpan>,
        boot: BootId,
        now: Timestamp,
        uptime: Uptime,
    ) -> Option<Self> {
        let delay = delay.map(|span| Self::Delay(Delay::new(span, boot, now, uptime)));
        delay.or(at.map(Self::At))
    }

    /// Returns the time of day; for a delay, the time of day that was expected when it began.
    pub const fn at(self) -> Timestamp {
        match self {
            Self::At(at) | Self::Delay(Delay { at, .. }) => at,
        }
    }

    /// Returns the time left until then; `None` if it has passed.
    pub fn left(self, boot: BootId, at: Timestamp, uptime: Uptime) -> Option<TimeSpan> {
        match self {
            Self::At(due) => due.since(at).filter(|left| !left.is_zero()),
            Self::Delay(delay) => delay.left(boot, at, uptime),
        }
    }
}

/// A delay measured by the clock of one boot (`CLOCK_BOOTTIME`), so that setting the time of day makes it
/// neither shorter nor longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay {
    /// The length of the delay.
    pub span: TimeSpan,
    /// The boot whose clock measures it.
    pub boot: BootId,
    /// The uptime of that boot at the end of the delay.
    pub due: Uptime,
    /// The time of day at the end of the delay, as expected at its beginning.
    pub at: Timestamp,
}

impl Delay {
    /// Creates a delay that begins now.
    pub fn new(span: TimeSpan, boot: BootId, at: Timestamp, uptime: Uptime) -> Self {
        Self { span, boot, due: uptime + span, at: at + span }
    }

    /// Returns the time left; `None` if the delay has passed.
    ///
    /// After a reboot only the time of day shows how long the machine was down. It may be wrong, so the time
    /// left is at most the whole delay.
    pub fn left(&self, boot: BootId, at: Timestamp, uptime: Uptime) -> Option<TimeSpan> {
        let left = if self.boot == boot {
            self.due - uptime
        } else {
            self.at.saturating_since(at).min(self.span)
        };
        (!left.is_zero()).then_some(left)
    }

    /// Returns the rest of another boot's delay, measured by the clock of this boot from now on; `None` if this
    /// boot measures it already, or if it has passed.
    pub fn carried_over(&self, boot: BootId, at: Timestamp, uptime: Uptime) -> Option<Self> {
        if self.boot == boot {
            return None;
        }
        Some(Self::new(self.left(boot, at, uptime)?, boot, at, uptime))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: TimeSpan = TimeSpan::from_secs(3600);
    const FIFTY_SIX_YEARS: i64 = 1_767_225_600;

    fn boot(number: u8) -> BootId {
        BootId::from_bytes([number; 16])
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_micros(second * 1_000_000)
    }

    fn secs(seconds: u32) -> TimeSpan {
        TimeSpan::from_secs(seconds)
    }

    fn up(seconds: u32) -> Uptime {
        Uptime::from_secs(seconds)
    }

    #[test]
    fn a_time_of_day_follows_the_clock_as_it_is_set() {
        let noon = NotBefore::At(at(FIFTY_SIX_YEARS));
        assert_eq!(noon.left(boot(1), at(FIFTY_SIX_YEARS - 10), up(5)), Some(secs(10)));
        assert_eq!(noon.left(boot(1), at(FIFTY_SIX_YEARS), up(5)), None);
        assert!(noon.left(boot(1), at(5), up(7)).is_some(), "the clock was set back");
    }

    #[test]
    fn a_delay_keeps_its_length_when_the_clock_is_set() {
        for set_to in [0, 100, FIFTY_SIX_YEARS, 2 * FIFTY_SIX_YEARS] {
            let delay = Delay::new(HOUR, boot(1), at(FIFTY_SIX_YEARS), up(20));
            assert_eq!(delay.left(boot(1), at(set_to), up(1020)), Some(secs(2600)));
            assert_eq!(delay.left(boot(1), at(set_to), up(3620)), None);
            assert_eq!(delay.carried_over(boot(1), at(set_to), up(1020)), None);
        }
    }

    #[test]
    fn after_a_reboot_the_time_of_day_gives_the_rest_of_a_delay_up_to_its_length() {
        let delay = Delay::new(HOUR, boot(1), at(FIFTY_SIX_YEARS), up(20));
        let left = |now: i64| delay.left(boot(2), at(now), up(10));
        assert_eq!(left(FIFTY_SIX_YEARS + 600), Some(secs(3000)));
        assert_eq!(left(FIFTY_SIX_YEARS + 3600), None);
        assert_eq!(left(60), Some(HOUR), "a board without a battery for its clock");
    }

    #[test]
    fn the_rest_of_a_delay_after_a_reboot_is_measured_by_the_new_boot() {
        let delay = Delay::new(HOUR, boot(1), at(0), up(20));
        let carried = delay.carried_over(boot(2), at(600), up(10)).unwrap();
        assert_eq!(carried, Delay::new(secs(3000), boot(2), at(600), up(10)));
        assert_eq!(carried.left(boot(2), at(FIFTY_SIX_YEARS), up(1010)), Some(secs(2000)));
        assert_eq!(delay.carried_over(boot(2), at(3600), up(10)), None);
    }
}
