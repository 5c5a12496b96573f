//! Lengths of time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{InvalidQuantity, fixed_point};

const EXPECTED: &str = "a span of time such as 90s, 5min 20s, 12h or 2d (a bare number is seconds)";

/// A length of time in microseconds, systemd's resolution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct TimeSpan(u64);

impl TimeSpan {
    /// Creates a span from microseconds.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Creates a span from seconds.
    pub const fn from_secs(secs: u32) -> Self {
        Self(secs as u64 * 1_000_000)
    }

    /// Creates a span from milliseconds; the longest span if that is shorter.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// Creates a span from nanoseconds, cut to whole microseconds.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos / 1_000)
    }

    /// Returns whether the span is zero.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Returns the whole seconds of the span.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Returns the whole milliseconds of the span.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000
    }

    /// Returns the span in seconds.
    pub const fn as_secs_f64(self) -> f64 {
        self.as_duration().as_secs_f64()
    }

    /// Returns the span cut to a multiple of `unit`.
    #[must_use]
    pub const fn truncated_to(self, unit: Self) -> Self {
        match self.0.checked_rem(unit.0) {
            Some(rest) => Self(self.0 - rest),
            None => self,
        }
    }

    /// Returns the span in microseconds.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Returns the sum, or the longest span if the sum is longer than that.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Returns the difference, or zero if `other` is longer.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Returns the difference, or `None` if `other` is longer.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(micros) => Some(Self(micros)),
            None => None,
        }
    }

    /// Returns the product, or the longest span if the product is longer than that.
    #[must_use]
    pub const fn saturating_mul(self, factor: u64) -> Self {
        Self(self.0.saturating_mul(factor))
    }

    /// Returns the span as the standard library's type.
    pub const fn as_duration(self) -> Duration {
        Duration::from_micros(self.0)
    }
}

impl From<Duration> for TimeSpan {
    /// Cuts the duration to whole microseconds; the longest span if that is shorter.
    fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
    }
}

impl From<TimeSpan> for Duration {
    fn from(span: TimeSpan) -> Self {
        span.as_duration()
    }
}

/// Returns the length of a named unit of time in microseconds (systemd.time(7), "Parsing Time Spans").
///
/// As in systemd, a month is 30.44 days and a year 365.25 days.
fn unit_micros(unit: &str) -> Option<u64> {
    const SEC: u64 = 1_000_000;
    Some(match unit {
        "" | "s" | "sec" | "second" | "seconds" => SEC,
        "us" | "usec" | "µs" | "μs" => 1,
        "ms" | "msec" => 1_000,
        "m" | "min" | "minute" | "minutes" => 60 * SEC,
        "h" | "hr" | "hour" | "hours" => 3_600 * SEC,
        "d" | "day" | "days" => 86_400 * SEC,
        "w" | "week" | "weeks" => 7 * 86_400 * SEC,
        "M" | "month" | "months" => 2_629_800 * SEC,
        "y" | "year" | "years" => 31_557_600 * SEC,
        _ => return None,
    })
}

impl FromStr for TimeSpan {
    type Err = InvalidQuantity;

    /// Parses a span. Parts add up and need no blanks between them: `5min20s`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidQuantity::new(text, EXPECTED);
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(invalid());
        }
        let mut total = 0u64;
        while !rest.is_empty() {
            let digits = rest.find(|c| !is_number(c)).unwrap_or(rest.len());
            let after = rest[digits..].trim_start();
            let letters = after.find(|c: char| is_number(c) || c.is_whitespace());
            let (unit, next) = after.split_at(letters.unwrap_or(after.len()));
            let micros = unit_micros(unit).and_then(|unit| fixed_point(&rest[..digits], unit));
            total = micros.and_then(|part| total.checked_add(part)).ok_or_else(invalid)?;
            rest = next.trim_start();
        }
        Ok(Self(total))
    }
}

impl fmt::Display for TimeSpan {
    /// Writes spans as systemd does, largest unit first: `5min 20s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, u64); 6] = [
            ("d", 86_400_000_000),
            ("h", 3_600_000_000),
            ("min", 60_000_000),
            ("s", 1_000_000),
            ("ms", 1_000),
            ("us", 1),
        ];
        let mut rest = self.0;
        let mut parts = Vec::new();
        for (name, micros) in UNITS {
            if rest >= micros {
                parts.push(format!("{}{name}", rest / micros));
                rest %= micros;
            }
        }
        f.pad(if parts.is_empty() { "0".to_owned() } else { parts.join(" ") }.as_str())
    }
}
