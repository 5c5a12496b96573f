//! Points in time.

mod rfc_3339;

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;

use thiserror::Error;

use crate::TimeSpan;

/// A point in time in microseconds since 1970-01-01 00:00 UTC, as in systemd. `CLOCK_REALTIME` may jump, so
/// nothing is ordered by timestamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "String", into = "String"))]
pub struct Timestamp(i64);

/// 0001-01-01 in UTC.
const FIRST: i64 = -62_135_596_800_000_000;
/// The last whole second that every time zone writes with a year of four digits.
const LAST: i64 = 253_402_207_199_000_000;

/// The error for a text that is not a timestamp.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{found:?} is not an RFC 3339 time such as 2026-11-23T22:00:00Z")]
pub struct InvalidTimestamp {
    /// What was found, cut to 80 characters.
    pub found: String,
}

impl Timestamp {
    /// The most that two clocks differ because they are read one after the other.
    pub const CLOCK_TOLERANCE: TimeSpan = TimeSpan::from_secs(1);

    /// Creates the time `micros` microseconds after the epoch, clamped to the years that RFC 3339 can write.
    pub fn from_micros(micros: i64) -> Self {
        Self(micros.clamp(FIRST, LAST))
    }

    /// Returns the microseconds since the epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Returns the time from `earlier` to this; `None` if the clock was set back in between.
    pub fn since(self, earlier: Self) -> Option<TimeSpan> {
        u64::try_from(self.0.checked_sub(earlier.0)?).ok().map(TimeSpan::from_micros)
    }

    /// Returns the time from `earlier` to this; zero if the clock was set back in between.
    pub fn saturating_since(self, earlier: Self) -> TimeSpan {
        self.since(earlier).unwrap_or_default()
    }

    /// Returns whether two times differ by less than [`CLOCK_TOLERANCE`](Self::CLOCK_TOLERANCE): if the same time was
    /// read from two clocks, none of them was set in between.
    pub fn agrees_with(self, other: Self) -> bool {
        TimeSpan::from_micros(self.0.abs_diff(other.0)) < Self::CLOCK_TOLERANCE
    }
}

impl Add<TimeSpan> for Timestamp {
    type Output = Self;
    /// Returns the time after a span, clamped as by [`from_micros`](Self::from_micros).
    fn add(self, span: TimeSpan) -> Self {
        Self::from_micros(self.0.saturating_add_unsigned(span.as_micros()))
    }
}

impl Sub<TimeSpan> for Timestamp {
    type Output = Self;
    /// Returns the time before a span, clamped as by [`from_micros`](Self::from_micros).
    fn sub(self, span: TimeSpan) -> Self {
        Self::from_micros(self.0.saturating_sub_unsigned(span.as_micros()))
    }
}

impl From<std::time::SystemTime> for Timestamp {
    fn from(time: std::time::SystemTime) -> Self {
        let micros = match time.duration_since(std::time::UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |m| -m),
        };
        Self::from_micros(micros)
    }
}

impl fmt::Display for Timestamp {
    /// Writes RFC 3339 in UTC with microseconds: `2026-11-23T22:00:00.000000Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        rfc_3339::write(self.0, f)
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;
    /// Parses RFC 3339 with any offset; decimals beyond microseconds are cut.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let micros = rfc_3339::parse(text).filter(|micros| (FIRST..=LAST).contains(micros));
        micros.map(Self).ok_or_else(|| InvalidTimestamp { found: text.chars().take(80).collect() })
    }
}

impl TryFrom<String> for Timestamp {
    type Error = InvalidTimestamp;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(time: Timestamp) -> Self {
        time.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_and_read_as_rfc_3339() {
        let time = Timestamp::from_micros(1_795_471_200_000_001);
        assert_eq!(time.to_string(), "2026-11-23T22:00:00.000001Z");
        assert_eq!(time.to_string().parse::<Timestamp>().unwrap(), time);
        assert_eq!("2026-11-23T23:00:00.000001+01:00".parse::<Timestamp>().unwrap(), time);
        assert!("yesterday".parse::<Timestamp>().is_err());
    }

    #[test]
    fn every_timestamp_can_be_written() {
        for micros in [i64::MIN, i64::MAX] {
            assert!(!Timestamp::from_micros(micros).to_string().is_empty());
        }
    }

    #[test]
    fn a_clock_that_went_back_gives_no_span() {
        let (a, b) = (Timestamp::from_micros(5), Timestamp::from_micros(7));
        assert_eq!(b.since(a), Some(TimeSpan::from_micros(2)));
        assert_eq!(a.since(b), None);
        assert_eq!(a.saturating_since(b), TimeSpan::default());
        assert!(a.agrees_with(b) && b.agrees_with(a));
        let later = b + TimeSpan::from_secs(1);
        assert!(!b.agrees_with(later) && !later.agrees_with(b));
    }

    #[test]
    fn adding_and_subtracting_a_span_stays_within_the_years_that_can_be_written() {
        let (time, second) = (Timestamp::from_micros(5), TimeSpan::from_secs(1));
        assert_eq!((time + second).as_micros(), 1_000_005);
        assert_eq!((time + second) - second, time);
        let longest = TimeSpan::from_micros(u64::MAX);
        assert_eq!(time + longest, Timestamp::from_micros(i64::MAX));
        assert_eq!(time - longest, Timestamp::from_micros(i64::MIN));
    }
}
