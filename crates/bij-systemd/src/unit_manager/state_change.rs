//! The time of a unit's last state change.

use std::time::{Duration, SystemTime};

use bij_core::{TimeSpan, Timestamp};
use nix::time::{ClockId, clock_gettime};

use crate::properties::UnitProperties;

/// Largest difference between two clocks that are read one after the other, in microseconds.
const CLOCK_TOLERANCE: u64 = 1_000_000;

/// Returns when a unit entered its state; `None` if it never changed.
pub(super) fn entered_at(properties: &UnitProperties) -> Option<Timestamp> {
    let recorded = properties.timestamp("StateChangeTimestamp")?;
    let entered = properties.monotonic("StateChangeTimestampMonotonic");
    let monotonic = clock_gettime(ClockId::CLOCK_MONOTONIC).ok().map(Duration::from);
    let now = monotonic.and_then(|now| u64::try_from(now.as_micros()).ok());
    let age = now.zip(entered).and_then(|(now, entered)| now.checked_sub(entered.as_micros()));
    Some(match age {
        Some(age) => {
            correct_for_clock_jump(recorded, TimeSpan::from_micros(age), SystemTime::now().into())
        }
        None => recorded,
    })
}

/// Returns a time that was recorded `age` ago. If the time of day has been set since, the result is `now` less
/// `age`, so that the span until now is right.
fn correct_for_clock_jump(recorded: Timestamp, age: TimeSpan, now: Timestamp) -> Timestamp {
    let age = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
    let corrected = Timestamp::from_micros(now.as_micros().saturating_sub(age));
    let is_as_recorded = corrected.as_micros().abs_diff(recorded.as_micros()) < CLOCK_TOLERANCE;
    if is_as_recorded { recorded } else { corrected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_the_clock_does_not_change_the_span_since_a_state_change() {
        let at = |second: i64| Timestamp::from_micros(second * 1_000_000);
        let age = TimeSpan::from_secs(30);
        let (then, years) = (1_795_471_200, 1_700_000_000);
        assert_eq!(
            correct_for_clock_jump(
                at(then),
                age,
                Timestamp::from_micros(at(then + 30).as_micros() + 9)
            ),
            at(then)
        );
        for now in [then + 30 - years, then + 30 + years] {
            let corrected = correct_for_clock_jump(at(then), age, at(now));
            assert_eq!(at(now).since(corrected), Some(age));
        }
    }
}
