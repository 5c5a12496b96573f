//! The start limit of a unit.

use crate::spec::RestartSpec;
use crate::{Attempt, BootId, Limit, TimeSpan, Timestamp, Uptime};

/// A limit of `StartLimitBurst=` starts within `StartLimitIntervalSec=` (systemd.unit(5)).
///
/// The window is fixed, as in `ratelimit_below()` of systemd's `src/basic/ratelimit.c`: it opens with the first
/// start after the last window has closed. A burst or an interval of zero switches the limit off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartLimit {
    /// The most starts within the interval, the first start included.
    pub burst: u32,
    /// The length of the window; [`Limit::Max`] never closes it.
    pub interval: Limit<TimeSpan>,
}

impl StartLimit {
    /// Returns whether one more start is allowed now. `ages` are the spans since each of the starts before it,
    /// oldest start first.
    pub fn allows(self, ages: impl IntoIterator<Item = TimeSpan>) -> bool {
        if self.burst == 0 || self.interval == Limit::At(TimeSpan::default()) {
            return true;
        }
        let mut window: Option<(TimeSpan, u32)> = None;
        for age in ages {
            window = match window {
                Some((opened, starts)) if self.is_open(opened, age) => Some((opened, starts + 1)),
                _ => Some((age, 1)),
            };
        }
        window.is_none_or(|(opened, starts)| starts < self.burst || self.has_closed(opened))
    }

    /// Returns whether one more start of a run is allowed after `delay`. `attempts` are those of the run, oldest
    /// first; `uptime` and `now` are the current time by both clocks of `boot`.
    ///
    /// Attempts of other boots do not count, nor does one whose start seems to be in the future because the time of day
    /// was set back and its uptime is unknown: systemd's own count then decides.
    pub fn allows_after<'a>(
        self,
        delay: TimeSpan,
        attempts: impl IntoIterator<Item = &'a Attempt>,
        boot: BootId,
        uptime: Option<Uptime>,
        now: Timestamp,
    ) -> bool {
        let of_boot = attempts.into_iter().filter(|attempt| attempt.key.boot == boot);
        let ages = of_boot.filter_map(|attempt| attempt.started_ago(boot, uptime, now));
        self.allows(ages.map(|age| age.saturating_add(delay)))
    }

    /// Returns whether a window that opened `opened` ago has closed.
    pub fn has_closed(self, opened: TimeSpan) -> bool {
        !self.is_open(opened, TimeSpan::default())
    }

    /// Returns whether a window that opened `opened` ago was still open `age` ago.
    fn is_open(self, opened: TimeSpan, age: TimeSpan) -> bool {
        match self.interval {
            Limit::Max => true,
            Limit::At(interval) => opened.saturating_sub(age) < interval,
        }
    }
}

impl From<&RestartSpec> for StartLimit {
    fn from(restart: &RestartSpec) -> Self {
        Self { burst: restart.burst, interval: restart.interval }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(burst: u32, interval: u32, starts: &[u32], now: u32) -> bool {
        let limit = StartLimit { burst, interval: Limit::At(TimeSpan::from_secs(interval)) };
        limit.allows(starts.iter().map(|second| TimeSpan::from_secs(now - second)))
    }

    #[test]
    fn the_start_after_the_last_allowed_one_is_refused() {
        assert!(allows(3, 300, &[10, 20], 30));
        assert!(!allows(3, 300, &[10, 20, 30], 40));
        assert!(allows(3, 300, &[10, 20, 30], 310), "the window has closed");
    }

    #[test]
    fn the_window_opens_anew_with_the_first_start_after_it() {
        // A sliding window would still count the start at 9 s.
        assert!(allows(2, 10, &[0, 9], 11));
        assert!(allows(2, 10, &[0, 9, 10], 11));
        assert!(!allows(2, 10, &[0, 9, 10, 11], 12));
    }

    #[test]
    fn zero_switches_the_limit_off_and_infinity_never_closes_the_window() {
        assert!(allows(0, 300, &[1, 2, 3], 4));
        assert!(allows(1, 0, &[1, 2, 3], 4));
        let limit = StartLimit { burst: 1, interval: Limit::Max };
        assert!(limit.allows([]));
        assert!(!limit.allows([TimeSpan::from_micros(u64::MAX)]));
    }
}
