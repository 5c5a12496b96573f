//! The text of a point in time, by RFC 3339.
//!
//! This is written by hand, so that a program that takes this crate for its types compiles no calendar library. Time
//! zones, which need one, are a matter for the programs that show times to people. The tests compare the texts with
//! those of such a library.
//!
//! Days and dates are converted as in Howard Hinnant's "chrono-Compatible Low-Level Date Algorithms": years begin in
//! March, so that a leap day is the last day of its year.

use std::fmt;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// Days in 400 years, after which the calendar repeats.
const ERA_DAYS: i64 = 146_097;

/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_DAYS: i64 = 719_468;

/// Writes the time `micros` microseconds after 1970 in UTC: `2026-11-23T22:00:00.000000Z`.
pub(super) fn write(micros: i64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (year, month, day) = date(micros.div_euclid(DAY));
    let of_day = micros.rem_euclid(DAY);
    let (seconds, fraction) = (of_day / SECOND, of_day % SECOND);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:06}Z")
}

/// Returns the microseconds since 1970 of a text such as `2026-11-23T23:00:00.5+01:00`; `None` for other text. Decimals
/// beyond the sixth are cut. A leap second counts as the second before it.
pub(super) fn parse(text: &str) -> Option<i64> {
    let (head, tail) = text.split_at_checked("2026-11-23T22:00:00".len())?;
    let separators = [4, 7, 10, 13, 16].map(|at| head.as_bytes()[at]);
    let [b'-', b'-', b'T' | b't' | b' ', b':', b':'] = separators else { return None };
    let days = days(number(head, 0, 4)?, number(head, 5, 2)?, number(head, 8, 2)?)?;
    let (hour, minute) = (number(head, 11, 2)?, number(head, 14, 2)?);
    let second = number(head, 17, 2)?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = hour * 3600 + minute * 60 + second.min(59);
    let offset_at = tail.find(|c: char| c != '.' && !c.is_ascii_digit())?;
    let (fraction, offset) = tail.split_at(offset_at);
    Some(days * DAY + (seconds - offset_seconds(offset)?) * SECOND + fraction_micros(fraction)?)
}

/// Returns the number that `len` digits at a place of a text form.
fn number(text: &str, at: usize, len: usize) -> Option<i64> {
    let digits = text.get(at..at + len)?;
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// Returns the microseconds of `.25`; zero for an empty text.
fn fraction_micros(text: &str) -> Option<i64> {
    if text.is_empty() {
        return Some(0);
    }
    let digits = text.strip_prefix('.').filter(|digits| !digits.is_empty())?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let places = digits.bytes().chain(std::iter::repeat(b'0')).take(6);
    Some(places.fold(0, |micros, digit| micros * 10 + i64::from(digit - b'0')))
}

/// Returns the seconds that the local time `Z`, `+01:00` or `-03:30` is ahead of UTC.
fn offset_seconds(text: &str) -> Option<i64> {
    let sign = match text.as_bytes() {
        b"Z" | b"z" => return Some(0),
        [b'+', _, _, b':', _, _] => 1,
        [b'-', _, _, b':', _, _] => -1,
        _ => return None,
    };
    let (hours, minutes) = (number(text, 1, 2)?, number(text, 4, 2)?);
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Returns the days from 1970-01-01 to a date; `None` if there is no such date.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let year_from_march = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year_from_march.div_euclid(400), year_from_march.rem_euclid(400));
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * ERA_DAYS + day_of_era - EPOCH_DAYS;
    (date(days) == (year, month, day)).then_some(days)
}

/// Returns the year, month and day that is `days` days after 1970-01-01.
fn date(days: i64) -> (i64, i64, i64) {
    let from_march = days + EPOCH_DAYS;
    let (era, day_of_era) = (from_march.div_euclid(ERA_DAYS), from_march.rem_euclid(ERA_DAYS));
    let leap_days = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{FIRST, LAST, Timestamp};
    use super::*;

    fn jiff_text(micros: i64) -> String {
        format!("{:.6}", jiff::Timestamp::from_microsecond(micros).unwrap())
    }

    #[test]
    fn every_day_of_a_period_is_written_as_by_a_calendar_library_and_read_again() {
        let first = parse("1800-01-01T00:00:00Z").unwrap();
        for micros in (0..ERA_DAYS).map(|day| first + day * DAY) {
            let text = Timestamp::from_micros(micros).to_string();
            assert_eq!(text, jiff_text(micros));
            assert_eq!(parse(&text), Some(micros), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_time_is_written_as_by_a_calendar_library(micros in FIRST..=LAST) {
            let text = Timestamp::from_micros(micros).to_string();
            prop_assert_eq!(&text, &jiff_text(micros));
            prop_assert_eq!(parse(&text), Some(micros));
        }

        #[test]
        fn every_text_is_read_as_by_a_calendar_library(
            text in "[0-9]{4}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,6})?\
                     (Z|z|[+-]([01][0-9]|2[0-3]):[0-6][0-9])"
        ) {
            let expected = text.parse::<jiff::Timestamp>().ok();
            let expected = expected.map(jiff::Timestamp::as_microsecond);
            // The library accepts times beyond the range of a `Timestamp`.
            let read = parse(&text).filter(|micros| (FIRST..=LAST).contains(micros));
            let expected = expected.filter(|micros| (FIRST..=LAST).contains(micros));
            prop_assert_eq!(read, expected, "{}", text);
        }

        #[test]
        fn no_text_is_a_reason_to_panic(text in "\\PC{0,40}") {
            let _ = parse(&text);
        }
    }

    #[test]
    fn a_text_that_is_no_such_time_is_refused() {
        let good = "2026-11-23T22:00:00Z";
        assert!(parse(good).is_some());
        for at in 0..good.len() {
            let broken = format!("{}x{}", &good[..at], &good[at + 1..]);
            assert_eq!(parse(&broken), None, "{broken}");
        }
        for bad in [
            "2026-02-29T00:00:00Z",
            "2026-11-31T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-23T24:00:00Z",
            "2026-11-23T22:60:00Z",
            "2026-11-23T22:00:61Z",
            "2026-11-23T22:00:00",
            "2026-11-23T22:00:00.Z",
            "2026-11-23T22:00:00.1.2Z",
            "2026-11-23T22:00:00+24:00",
            "2026-11-23T22:00:00+0100",
            "2026-11-23T22:00:00Z ",
            "2026-11-23T22:00:0é",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(parse("2024-02-29T23:59:60Z"), parse("2024-02-29T23:59:59Z"));
    }
}
