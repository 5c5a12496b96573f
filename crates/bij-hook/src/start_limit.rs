//! The start limit, checked against the attempts in the ledger.
//!
//! systemd counts starts itself, but forgets the count at every daemon-reload (tried on 252), which a start with a
//! changed definition causes. So an automatic restart is also checked here, with the limit that PID 1 has in force,
//! including an operator's override.

use bij_core::port::{AttemptQuery, Ledger};
use bij_core::{Attempt, BootId, ExperimentId, RunId, StartLimit, TimeSpan, Timestamp, Uptime};
use bij_host::logged;
use bij_systemd::experiment::UnitFacts;

use crate::BeginError;

/// The current time by both clocks.
#[derive(Debug)]
pub(crate) struct ClockReading {
    pub(crate) boot: BootId,
    /// The time of day, which may be set.
    pub(crate) now: Timestamp,
    pub(crate) uptime: Option<Uptime>,
}

/// Refuses a restart that the limit does not allow.
pub(crate) fn check(
    id: &ExperimentId,
    facts: &UnitFacts,
    attempts: &[Attempt],
    clock: &ClockReading,
) -> Result<(), BeginError> {
    match facts.start_limit() {
        Some(StartLimit { burst, interval })
            if is_reached(facts, attempts, clock, TimeSpan::default()) =>
        {
            Err(BeginError::StartLimit { id: id.clone(), burst, interval })
        }
        _ => Ok(()),
    }
}

/// Returns whether the limit in force allows no further start of a run after `delay`.
pub(crate) fn is_reached(
    facts: &UnitFacts,
    attempts: &[Attempt],
    clock: &ClockReading,
    delay: TimeSpan,
) -> bool {
    facts.start_limit().is_some_and(|limit| {
        !limit.allows_after(delay, attempts, clock.boot, clock.uptime, clock.now)
    })
}

/// Returns the attempts of a run in one boot, oldest first.
pub(crate) fn attempts_in_boot(ledger: &impl Ledger, run: &RunId, boot: BootId) -> Vec<Attempt> {
    let query = AttemptQuery {
        experiment: Some(run.experiment.clone()),
        run: Some(run.number),
        ..AttemptQuery::default()
    };
    let attempts = logged(ledger.attempts(&query), "cannot read the ledger");
    attempts.into_iter().flatten().filter(|attempt| attempt.key.boot == boot).collect()
}

#[cfg(test)]
mod tests {
    use bij_core::{AttemptKey, AttemptNumber, InvocationId, Limit};

    use super::*;

    #[test]
    fn the_limit_is_independent_of_the_time_of_day_if_the_uptime_is_known() {
        const TWO_YEARS: i64 = 63_072_000_000_000;
        let invocation = |n: u8| InvocationId::from_bytes([n; 16]);
        let begun = 1_795_471_200_000_000;
        let attempts: Vec<Attempt> = (1..=4)
            .map(|n| Attempt {
                run: "x#1".parse().unwrap(),
                number: AttemptNumber(u32::from(n)),
                key: AttemptKey { boot: BootId::from_bytes([1; 16]), invocation: invocation(n) },
                started: Timestamp::from_micros(begun + i64::from(n) * 1_000_000),
                started_uptime: Some(Uptime::from_secs(1000 + u32::from(n))),
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
            let mut clock = ClockReading {
                boot: BootId::from_bytes([1; 16]),
                now: Timestamp::from_micros(begun + 5_000_000 + jump),
                uptime: Some(Uptime::from_secs(1005)),
            };
            assert!(check(&id, &facts, &attempts, &clock).is_err(), "a jump of {jump}");
            assert!(check(&id, &facts, &attempts[..3], &clock).is_ok(), "a jump of {jump}");
            clock.uptime = Some(Uptime::from_secs(1400));
            clock.now = Timestamp::from_micros(begun + 400_000_000 + jump);
            assert!(check(&id, &facts, &attempts, &clock).is_ok(), "the window has closed");
        }
    }

    #[test]
    fn a_start_in_the_future_does_not_count() {
        let attempt = Attempt {
            run: "x#1".parse().unwrap(),
            number: AttemptNumber(1),
            key: AttemptKey {
                boot: BootId::from_bytes([1; 16]),
                invocation: InvocationId::from_bytes([1; 16]),
            },
            started: Timestamp::from_micros(3_600_000_000),
            started_uptime: None,
            ready: None,
            end: None,
            board: None,
        };
        let mut facts = UnitFacts::default();
        facts.start_limit_burst = 1;
        facts.start_limit_interval = Some(Limit::At(TimeSpan::from_secs(300)));
        let now = Timestamp::from_micros(10_000_000);
        let clock = ClockReading { boot: attempt.key.boot, now, uptime: None };
        assert!(check(&"x".parse().unwrap(), &facts, &[attempt], &clock).is_ok());
    }
}
