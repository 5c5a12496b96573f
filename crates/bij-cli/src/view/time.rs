//! Formats times and spans as systemctl and journalctl do.

use std::fmt::Write as _;

use bij_core::{TimeSpan, Timestamp};
use jiff::ZonedDateTime;

use super::TextFormat;

fn zoned(at: Timestamp, format: &TextFormat) -> Option<ZonedDateTime> {
    let time = jiff::Timestamp::from_microsecond(at.as_micros()).ok()?;
    Some(time.to_zoned_datetime(format.zone.get().clone()))
}

fn written(at: Timestamp, format: &TextFormat, pattern: &str) -> String {
    // A time that cannot be converted to the reader's zone is written in UTC.
    zoned(at, format).map_or_else(|| at.to_string(), |time| time.strftime(pattern).to_string())
}

/// Formats a time as systemctl does: `Mon 2026-11-23 22:00:00 UTC`.
pub(crate) fn long(at: Timestamp, format: &TextFormat) -> String {
    written(at, format, "%a %Y-%m-%d %H:%M:%S %Z")
}

/// Formats a time for tables: `2026-11-23 22:00:00`.
pub(crate) fn short(at: Timestamp, format: &TextFormat) -> String {
    written(at, format, "%Y-%m-%d %H:%M:%S")
}

/// Formats a time as journalctl does: `Nov 23 22:00:00`.
pub(crate) fn syslog(at: Timestamp, format: &TextFormat) -> String {
    written(at, format, "%b %d %H:%M:%S")
}

/// Formats a time as `journalctl -o short-iso` does: `2026-11-23T22:00:00+00:00`.
pub(crate) fn iso(at: Timestamp, format: &TextFormat) -> String {
    written(at, format, "%Y-%m-%dT%H:%M:%S%:z")
}

/// Formats a span to the millisecond, as systemctl does with processor time: `1min 20.345s`.
pub(crate) fn precise(span: TimeSpan) -> String {
    let millis = span.as_millis();
    let (whole, rest) = (millis / 1_000, millis % 1_000);
    let (minutes, seconds) = (whole / 60, whole % 60);
    let tail = match (minutes, seconds, rest) {
        (0, 0, rest) => return format!("{rest}ms"),
        (_, 0, 0) => String::new(),
        (_, seconds, 0) => format!("{seconds}s"),
        (_, seconds, rest) => format!("{seconds}.{rest:03}s"),
    };
    let head = match minutes {
        0 => String::new(),
        minutes => coarse(minutes * 60),
    };
    [head, tail].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Formats the two largest units of a span, milliseconds below a second: `2h 3min`, `12s`, `400ms`.
pub(crate) fn rough(span: TimeSpan) -> String {
    let seconds = span.as_secs();
    if seconds == 0 { format!("{}ms", span.as_millis()) } else { coarse(seconds) }
}

fn coarse(seconds: u64) -> String {
    const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)];
    let mut rest = seconds;
    let mut text = String::new();
    for (name, unit) in UNITS {
        if rest < unit {
            continue;
        }
        let is_second = !text.is_empty();
        let gap = if is_second { " " } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(text, "{gap}{}{name}", rest / unit);
        rest %= unit;
        // Units after the second would be too precise.
        if is_second || rest == 0 {
            break;
        }
    }
    text
}

/// Formats the distance to a time: `2h 3min ago`, or `in 5s` if the clock has gone back.
pub(crate) fn ago(at: Timestamp, now: Timestamp) -> String {
    match (now.since(at), at.since(now)) {
        (Some(past), _) if past.as_secs() == 0 => "just now".to_owned(),
        (Some(past), _) => format!("{} ago", rough(past)),
        (None, Some(future)) => format!("in {}", rough(future)),
        (None, None) => "just now".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_in_systemctl() {
        let millis = TimeSpan::from_millis;
        assert_eq!(precise(millis(7)), "7ms");
        assert_eq!(precise(millis(1_005)), "1.005s");
        assert_eq!(precise(millis(80_345)), "1min 20.345s");
        assert_eq!(precise(millis(120_000)), "2min");
        assert_eq!(rough(millis(7_380_000)), "2h 3min");
        assert_eq!(rough(millis(86_405_000)), "1d 5s");
        assert_eq!(rough(millis(400)), "400ms");
    }

    #[test]
    fn a_time_is_shown_in_the_readers_zone() {
        let mut format = TextFormat::for_test();
        let at = "2026-11-23T22:00:00Z".parse().unwrap();
        assert_eq!(long(at, &format), "Mon 2026-11-23 22:00:00 UTC");
        assert_eq!(syslog(at, &format), "Nov 23 22:00:00");
        assert_eq!(ago(at, format.now), "10min 5s ago");
        assert_eq!(ago(format.now, at), "in 10min 5s");
        format.zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(1)).into();
        assert_eq!(iso(at, &format), "2026-11-23T23:00:00+01:00");
    }
}
