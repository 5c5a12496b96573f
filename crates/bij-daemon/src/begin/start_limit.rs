//! The start limit, where systemd has lost count.
//!
//! systemd counts starts itself, but forgets the count at every daemon-reload (tried on 252), and a
//! start whose definition has changed makes one. So an automatic restart is also held against the
//! attempts that the ledger knows, under the limit that PID 1 has in force, an operator's override
//! included.

use bij_core::port::{AttemptQuery, Ledger};
use bij_core::{Attempt, BootId, ExperimentId, Limit, RunId, TimeSpan, Timestamp};
use bij_systemd::UnitFacts;

use super::{BeginError, logged};

/// What is known of the time.
#[derive(Debug)]
pub(crate) struct Clock {
    /// The boot.
    pub(crate) boot: BootId,
    /// The time of day, which may be set.
    pub(crate) now: Timestamp,
    /// The time since the boot.
    pub(crate) uptime: Option<TimeSpan>,
}

impl Clock {
    /// The same clock after a delay.
    pub(crate) fn later(self, delay: TimeSpan) -> Self {
        let micros = i64::try_from(delay.as_micros()).unwrap_or(i64::MAX);
        Self {
            now: Timestamp::from_micros(self.now.as_micros().saturating_add(micros)),
            uptime: self.uptime.map(|uptime| {
                TimeSpan::from_micros(uptime.as_micros().saturating_add(delay.as_micros()))
            }),
            ..self
        }
    }

    /// When a life began, told by the time of day as it is now: it may have been set since.
    fn started(&self, life: &Attempt) -> Timestamp {
        let age = self.uptime.and_then(|uptime| life.age(self.boot, uptime));
        match age.and_then(|age| i64::try_from(age.as_micros()).ok()) {
            Some(age) => Timestamp::from_micros(self.now.as_micros().saturating_sub(age)),
            None => life.started,
        }
    }
}

/// Refuses a restart for which the limit leaves no room.
pub(super) fn check(
    id: &ExperimentId,
    facts: &UnitFacts,
    lives: &[Attempt],
    clock: &Clock,
) -> Result<(), BeginError> {
    match facts.start_limit_interval {
        Some(interval) if is_reached(facts, lives, clock) => {
            Err(BeginError::StartLimit { id: id.clone(), burst: facts.start_limit_burst, interval })
        }
        _ => Ok(()),
    }
}

/// Returns whether these starts of a run are all that the limit allows by now.
pub(crate) fn is_reached(facts: &UnitFacts, lives: &[Attempt], clock: &Clock) -> bool {
    let starts = lives.iter().map(|life| clock.started(life));
    facts
        .start_limit_interval
        .is_some_and(|interval| is_used_up(facts.start_limit_burst, interval, starts, clock.now))
}

/// Returns the attempts of a run in one boot, oldest first.
pub(crate) fn lives_of_run(ledger: &impl Ledger, run: &RunId, boot: BootId) -> Vec<Attempt> {
    let query = AttemptQuery {
        experiment: Some(run.experiment.clone()),
        run: Some(run.number),
        ..AttemptQuery::default()
    };
    let attempts = logged(ledger.attempts(&query), "the ledger cannot be read");
    attempts.into_iter().flatten().filter(|attempt| attempt.key.boot == boot).collect()
}

/// Whether `burst` starts lie in the window that is open at `now`.
///
/// The window is systemd's, fixed and not sliding: it opens with the first start after the last
/// one has closed. A start that seems to lie ahead, because the clock was set back and the time by the
/// clock of the boot is not known, does not count: in doubt systemd's own limit decides.
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
    use bij_core::{AttemptKey, AttemptNumber, InvocationId};

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
    fn a_clock_that_was_set_changes_nothing_where_the_clock_of_the_boot_is_known() {
        const TWO_YEARS: i64 = 63_072_000_000_000;
        let invocation = |n: u8| InvocationId::from_bytes([n; 16]);
        let begun = 1_795_471_200_000_000;
        let lives: Vec<Attempt> = (1..=4)
            .map(|n| Attempt {
                run: "x#1".parse().unwrap(),
                number: AttemptNumber(u32::from(n)),
                key: AttemptKey { boot: BootId::from_bytes([1; 16]), invocation: invocation(n) },
                started: Timestamp::from_micros(begun + i64::from(n) * 1_000_000),
                started_uptime: Some(TimeSpan::from_secs(1000 + u32::from(n))),
                ready: None,
                end: None,
                board: None,
            })
            .collect();
        let mut facts = UnitFacts::default();
        facts.start_limit_burst = 4;
        facts.start_limit_interval = Some(Limit::At(TimeSpan::from_secs(300)));
        let id = "x".parse().unwrap();
        for jump in [0, -TWO_YEARS, TWO_YEARS] {
            let mut clock = Clock {
                boot: BootId::from_bytes([1; 16]),
                now: Timestamp::from_micros(begun + 5_000_000 + jump),
                uptime: Some(TimeSpan::from_secs(1005)),
            };
            assert!(check(&id, &facts, &lives, &clock).is_err(), "a jump of {jump}");
            assert!(check(&id, &facts, &lives[..3], &clock).is_ok(), "a jump of {jump}");
            clock.uptime = Some(TimeSpan::from_secs(1400));
            clock.now = Timestamp::from_micros(begun + 400_000_000 + jump);
            assert!(check(&id, &facts, &lives, &clock).is_ok(), "the window has closed");
        }
    }

    #[test]
    fn a_clock_that_was_set_back_refuses_nobody() {
        assert!(!used_up(2, 300, &[3_600, 3_601], 10));
    }
}
