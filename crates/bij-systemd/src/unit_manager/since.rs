//! Since when a unit is in its state.

use std::time::{Duration, SystemTime};

use bij_core::{TimeSpan, Timestamp};
use nix::time::{ClockId, clock_gettime};

use crate::properties::Properties;

/// Two clocks that are read one after the other differ by less, in microseconds.
const CLOCKS_DIFFER: u64 = 1_000_000;

/// When a unit entered its state, if it ever has.
pub(super) fn of(properties: &Properties) -> Option<Timestamp> {
    let recorded = properties.timestamp("StateChangeTimestamp")?;
    let entered = properties.monotonic("StateChangeTimestampMonotonic");
    let monotonic = clock_gettime(ClockId::CLOCK_MONOTONIC).ok().map(Duration::from);
    let now = monotonic.and_then(|now| u64::try_from(now.as_micros()).ok());
    let age = now.zip(entered).and_then(|(now, entered)| now.checked_sub(entered.as_micros()));
    Some(match age {
        Some(age) => told_now(recorded, TimeSpan::from_micros(age), SystemTime::now().into()),
        None => recorded,
    })
}

/// A time that was recorded so long ago. If the time of day has been set since, it is told as it is now, so
/// that the span from then on is right.
fn told_now(recorded: Timestamp, age: TimeSpan, now: Timestamp) -> Timestamp {
    let age = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
    let told = Timestamp::from_micros(now.as_micros().saturating_sub(age));
    let is_as_recorded = told.as_micros().abs_diff(recorded.as_micros()) < CLOCKS_DIFFER;
    if is_as_recorded { recorded } else { told }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_makes_no_span_longer_or_shorter() {
        let at = |second: i64| Timestamp::from_micros(second * 1_000_000);
        let age = TimeSpan::from_secs(30);
        let (then, years) = (1_795_471_200, 1_700_000_000);
        assert_eq!(
            told_now(at(then), age, Timestamp::from_micros(at(then + 30).as_micros() + 9)),
            at(then)
        );
        for now in [then + 30 - years, then + 30 + years] {
            let told = told_now(at(then), age, at(now));
            assert_eq!(at(now).since(told), Some(age));
        }
    }
}
