//! The time of a unit's last state change.

use std::time::SystemTime;

use bij_core::{TimeSpan, Timestamp};

use crate::monotonic_clock::monotonic;
use crate::properties::UnitProperties;

/// Returns when a unit entered its state; `None` if it never changed.
pub(crate) fn entered_at(properties: &UnitProperties) -> Option<Timestamp> {
    let recorded = properties.timestamp("StateChangeTimestamp")?;
    let entered = properties.monotonic("StateChangeTimestampMonotonic");
    let age = monotonic().zip(entered).and_then(|(now, entered)| now.since(entered));
    Some(match age {
        Some(age) => correct_for_clock_jump(recorded, age, SystemTime::now().into()),
        None => recorded,
    })
}

/// Returns a time that was recorded `age` ago. If the time of day has been set since, the result is `now` less
/// `age`, so that the span until now is right.
fn correct_for_clock_jump(recorded: Timestamp, age: TimeSpan, now: Timestamp) -> Timestamp {
    let corrected = now - age;
    if corrected.agrees_with(recorded) { recorded } else { corrected }
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
            correct_for_clock_jump(at(then), age, at(then + 30) + TimeSpan::from_micros(9)),
            at(then)
        );
        for now in [then + 30 - years, then + 30 + years] {
            let corrected = correct_for_clock_jump(at(then), age, at(now));
            assert_eq!(at(now).since(corrected), Some(age));
        }
    }
}
