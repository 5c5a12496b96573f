//! Parses times on the command line (systemd.time(7), "Parsing Timestamps").

use bij_core::{TimeSpan, Timestamp};
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use thiserror::Error;

use crate::context::Context;
use crate::error::{CliError, Kind};

/// A text that is not a time.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{found:?} is not a time: write \"2026-11-23 22:00\", \"22:00\", now, today, yesterday, -90s or \"1 hour ago\""
)]
pub(crate) struct InvalidTime {
    found: String,
}

/// The value of `--not-before`: `22:00` is a time of day, `+1h` a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotBeforeArg {
    At(Timestamp),
    After(TimeSpan),
}

impl NotBeforeArg {
    /// Parses a span after `+`, or a time as [`parse`] does.
    pub(crate) fn parse(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Self, InvalidTime> {
        let span = text.trim().strip_prefix('+').and_then(|span| span.trim().parse().ok());
        match span {
            Some(span) => Ok(Self::After(span)),
            None => parse(text, now, zone).map(Self::At),
        }
    }

    /// Returns the time of day, if it is one.
    pub(crate) const fn at(self) -> Option<Timestamp> {
        match self {
            Self::At(at) => Some(at),
            Self::After(_) => None,
        }
    }

    /// Returns the span, if it is one.
    pub(crate) const fn delay(self) -> Option<TimeSpan> {
        match self {
            Self::At(_) => None,
            Self::After(span) => Some(span),
        }
    }
}

/// Parses the value of `--not-before`, if it is given.
pub(crate) fn parse_not_before(
    context: &Context,
    text: Option<&String>,
) -> Result<Option<NotBeforeArg>, CliError> {
    let format = context.terminal.format();
    let time =
        text.map(|text| NotBeforeArg::parse(text, format.now, format.zone.get())).transpose();
    time.map_err(|error| CliError::new(Kind::Usage, error.to_string()))
}

/// Parses a time in the caller's time zone, relative to `now`.
pub(crate) fn parse(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, InvalidTime> {
    let text = text.trim();
    relative(text, now)
        .or_else(|| with_offset(text))
        .or_else(|| absolute(text, now, zone))
        .ok_or_else(|| InvalidTime { found: text.chars().take(80).collect() })
}

/// Parses `now`, `-90s`, `+5min`, `1 hour ago`, `@1795471200`.
fn relative(text: &str, now: Timestamp) -> Option<Timestamp> {
    let span = |text: &str| {
        let span = text.trim().parse::<TimeSpan>().ok()?;
        i64::try_from(span.as_micros()).ok()
    };
    if text == "now" {
        return Some(now);
    }
    if let Some(seconds) = text.strip_prefix('@') {
        let micros = seconds.parse::<i64>().ok()?.checked_mul(1_000_000)?;
        return Some(Timestamp::from_micros(micros));
    }
    let past = text.strip_prefix('-').or_else(|| text.strip_suffix("ago"));
    let shift = match (past, text.strip_prefix('+')) {
        (Some(past), _) => -span(past)?,
        (None, Some(future)) => span(future)?,
        (None, None) => return None,
    };
    Some(Timestamp::from_micros(now.as_micros().checked_add(shift)?))
}

/// Parses `2026-11-23T22:00:00Z`, `2026-11-23 22:00-05`.
fn with_offset(text: &str) -> Option<Timestamp> {
    let time = text.parse::<jiff::Timestamp>().ok()?;
    Some(Timestamp::from_micros(time.as_microsecond()))
}

/// Parses `today`, `yesterday 12:00`, `2026-11-23`, `2026-11-23 22:00:01`, `22:00`.
fn absolute(text: &str, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let here = jiff::Timestamp::from_microsecond(now.as_micros()).ok()?;
    let today = here.to_zoned_datetime(zone.clone()).date();
    let (first, rest) = text.split_once([' ', 'T']).unwrap_or((text, ""));
    let day = match first {
        "today" => Some(today),
        "yesterday" => today.yesterday().ok(),
        "tomorrow" => today.tomorrow().ok(),
        date => date.parse::<Date>().ok(),
    };
    let local = match (day, rest.trim()) {
        (Some(day), "") => day.to_datetime(Time::midnight()),
        (Some(day), time) => day.to_datetime(clock(time)?),
        (None, "") => today.to_datetime(clock(first)?),
        (None, _) => return None,
    };
    instant(local, zone)
}

fn clock(text: &str) -> Option<Time> {
    text.parse().ok()
}

fn instant(local: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    let zoned = local.to_zoned_datetime(zone.clone()).ok()?;
    Some(Timestamp::from_micros(zoned.timestamp().as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_kept_apart_from_a_time_of_day() {
        let now: Timestamp = "2026-11-23T22:10:00Z".parse().unwrap();
        let read = |text: &str| NotBeforeArg::parse(text, now, &TimeZone::UTC);
        assert_eq!(read("+1h 5min"), Ok(NotBeforeArg::After(TimeSpan::from_secs(3900))));
        assert_eq!(read("22:30").unwrap().at(), "2026-11-23T22:30:00Z".parse().ok());
        assert_eq!(read("-90s").unwrap().delay(), None, "it has passed");
        assert!(read("+soon").is_err() && read("soon").is_err());
    }

    #[test]
    fn times_are_read_as_journalctl_reads_them() {
        let now: Timestamp = "2026-11-23T22:10:00Z".parse().unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let read = |text: &str| parse(text, now, &zone).map(|time| time.to_string());
        for (text, time) in [
            ("now", "2026-11-23T22:10:00.000000Z"),
            ("-90s", "2026-11-23T22:08:30.000000Z"),
            ("+1min", "2026-11-23T22:11:00.000000Z"),
            ("1 hour ago", "2026-11-23T21:10:00.000000Z"),
            ("2h 5min ago", "2026-11-23T20:05:00.000000Z"),
            ("@1795471200", "2026-11-23T22:00:00.000000Z"),
            ("2026-11-23T22:00:00Z", "2026-11-23T22:00:00.000000Z"),
            ("2026-11-23 22:00-05", "2026-11-24T03:00:00.000000Z"),
            ("2026-11-23 22:00", "2026-11-23T21:00:00.000000Z"),
            ("2026-11-23 22:00:01", "2026-11-23T21:00:01.000000Z"),
            ("2026-11-23", "2026-11-22T23:00:00.000000Z"),
            ("today", "2026-11-22T23:00:00.000000Z"),
            ("yesterday 12:00", "2026-11-22T11:00:00.000000Z"),
            ("22:00", "2026-11-23T21:00:00.000000Z"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(time), "{text}");
        }
        for bad in ["", "soon", "25:00", "2026-13-01", "-", "ago", "today soon", "@x", "-1 parsec"]
        {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }
}
