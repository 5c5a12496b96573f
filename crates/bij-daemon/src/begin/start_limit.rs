//! The start limit, where systemd has lost count.
//!
//! systemd counts starts itself, but forgets the count at every daemon-reload (tried on 252), and a
//! start whose definition has changed makes one. So an automatic restart is also held against the
//! attempts that the ledger knows, under the limit that PID 1 has in force, an operator's override
//! included.

use bij_core::{Attempt, ExperimentId, Limit, TimeSpan, Timestamp};
use bij_systemd::UnitFacts;

use super::BeginError;

/// Refuses a restart for which the limit leaves no room.
pub(super) fn check(
    id: &ExperimentId,
    facts: &UnitFacts,
    lives: &[Attempt],
    now: Timestamp,
) -> Result<(), BeginError> {
    let (Some(interval), burst) = (facts.start_limit_interval, facts.start_limit_burst) else {
        return Ok(());
    };
    let starts = lives.iter().map(|life| life.started);
    if is_used_up(burst, interval, starts, now) {
        return Err(BeginError::StartLimit { id: id.clone(), burst, interval });
    }
    Ok(())
}

/// Whether `burst` starts lie in the window that is open at `now`.
///
/// The window is systemd's, fixed and not sliding: it opens with the first start after the last
/// one has closed. A start that seems to lie ahead, because the clock was set back, does not count:
/// in doubt systemd's own limit decides.
fn is_used_up(
    burst: u32,
    interval: Limit<TimeSpan>,
    starts: impl Iterator<Item = Timestamp>,
    now: Timestamp,
) -> bool {
    if burst == 0 || interval == Limit::At(TimeSpan::default()) {
        return false;
    }
    let within = |opened: Timestamp, at: Timestamp| match (at.since(opened), interval) {
        (None, _) => false,
        (Some(_), Limit::Max) => true,
        (Some(age), Limit::At(interval)) => age < interval,
    };
    let mut window: Option<(Timestamp, u32)> = None;
    for start in starts.filter(|start| now.since(*start).is_some()) {
        window = match window {
            Some((opened, count)) if within(opened, start) => Some((opened, count + 1)),
            _ => Some((start, 1)),
        };
    }
    window.is_some_and(|(opened, count)| within(opened, now) && count >= burst)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used_up(burst: u32, interval: u32, starts: &[i64], now: i64) -> bool {
        let at = |second: i64| Timestamp::from_micros(second * 1_000_000);
        let interval = Limit::At(TimeSpan::from_secs(interval));
        is_used_up(burst, interval, starts.iter().map(|second| at(*second)), at(now))
    }

    #[test]
    fn the_start_after_the_last_allowed_one_is_refused() {
        assert!(!used_up(3, 300, &[10, 20], 30));
        assert!(used_up(3, 300, &[10, 20, 30], 40));
        assert!(!used_up(3, 300, &[10, 20, 30], 310), "the window has closed");
    }

    #[test]
    fn the_window_opens_anew_with_the_first_start_after_it() {
        assert!(!used_up(2, 10, &[0, 9, 10], 11));
        assert!(used_up(2, 10, &[0, 9, 10, 11], 12));
    }

    #[test]
    fn nothing_switches_it_off_and_infinity_never_forgets() {
        assert!(!used_up(0, 300, &[1, 2, 3], 4));
        assert!(!used_up(1, 0, &[1, 2, 3], 4));
        let at = Timestamp::from_micros;
        assert!(is_used_up(1, Limit::Max, [at(0)].into_iter(), at(i64::MAX)));
    }

    #[test]
    fn a_clock_that_was_set_back_refuses_nobody() {
        assert!(!used_up(2, 300, &[3_600, 3_601], 10));
    }
}
