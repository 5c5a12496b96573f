//! An attempt as the ledger records it, and the totals of an experiment's attempts.

use std::collections::BTreeMap;

use crate::{
    AttemptBoard, AttemptNumber, BootId, Cause, Evidence, InvocationId, Progress, RunEnd, RunId,
    TimeSpan, Timestamp, Uptime,
};

/// The key of an attempt in every record: the boot, and systemd's invocation id of the unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AttemptKey {
    /// The boot in which the attempt ran.
    pub boot: BootId,
    /// The invocation of its unit.
    pub invocation: InvocationId,
}

/// One process lifetime within a run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Attempt {
    /// The run it belongs to.
    pub run: RunId,
    /// Its number within the run.
    pub number: AttemptNumber,
    /// Its boot and invocation.
    pub key: AttemptKey,
    /// When it was opened.
    pub started: Timestamp,
    /// The uptime of its boot when it was opened, if known (`CLOCK_BOOTTIME`, which is never set).
    #[cfg_attr(feature = "serde", serde(default))]
    pub started_uptime: Option<Uptime>,
    /// When it became ready, if known.
    pub ready: Option<Timestamp>,
    /// How it ended; `None` while it is open.
    pub end: Option<AttemptEnd>,
    /// What the board recorded during the attempt; `None` while it is open, and if the record does not cover
    /// the whole attempt.
    pub board: Option<AttemptBoard>,
}

/// The longest time that an attempt takes to start and to stop, beside the run time of its process.
const START_AND_STOP: TimeSpan = TimeSpan::from_secs(900);

impl Attempt {
    /// Returns whether a reboot, the end of the user's service manager or heat ended the attempt. The next
    /// start, in whichever boot, is then another attempt of the same run.
    pub fn was_interrupted(&self) -> bool {
        self.end.as_ref().is_some_and(|end| {
            matches!(end.cause, Cause::Reboot | Cause::ManagerStop | Cause::Heat)
        })
    }

    /// Returns whether the time of day was not set during the attempt: by the time of day as much time passed
    /// as by a clock that is never set. Only then do timestamps place records within the attempt.
    pub fn is_in_order(&self, boot: BootId, now: Timestamp, uptime: Uptime) -> bool {
        let (passed, measured) = match &self.end {
            Some(end) => (end.at.since(self.started), end.evidence.ran_for),
            None => (now.since(self.started), self.age(boot, uptime)),
        };
        passed.zip(measured).is_some_and(|(passed, measured)| {
            measured.saturating_sub(passed) <= Timestamp::CLOCK_TOLERANCE
                && passed.saturating_sub(measured) <= START_AND_STOP
        })
    }

    /// Returns how long ago the attempt was opened, by the clock of its boot; `None` in another boot, or if its
    /// uptime was not recorded.
    pub fn age(&self, boot: BootId, uptime: Uptime) -> Option<TimeSpan> {
        let started = self.started_uptime.filter(|_| self.key.boot == boot)?;
        uptime.since(started)
    }

    /// Returns how long ago the attempt was opened: by the clock of its boot if possible, otherwise by the time
    /// of day; `None` if the time of day was set back since.
    pub fn started_ago(
        &self,
        boot: BootId,
        uptime: Option<Uptime>,
        now: Timestamp,
    ) -> Option<TimeSpan> {
        uptime.and_then(|uptime| self.age(boot, uptime)).or_else(|| now.since(self.started))
    }
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AttemptEnd {
    /// When it ended. This may be before its start if the clock was set back.
    pub at: Timestamp,
    /// Why it ended, as proved by the evidence.
    pub cause: Cause,
    /// What is known about the end.
    pub evidence: Evidence,
}

impl AttemptEnd {
    /// Returns whether the attempt crashed.
    pub fn is_crash(&self) -> bool {
        self.cause.is_crash(self.evidence.exit.and_then(crate::Exit::code))
    }

    /// Returns how long an attempt opened at `started` ran: as its witness measured it, otherwise by the time
    /// of day; `None` if the clock was set back.
    pub fn ran_for(&self, started: Timestamp) -> Option<TimeSpan> {
        self.evidence.ran_for.or_else(|| self.at.since(started))
    }
}

/// The totals of an experiment's whole history. They never decrease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Tally {
    /// The number of attempts, open ones included.
    pub attempts: u64,
    /// The number of crashed attempts over all runs.
    pub crashes: u64,
    /// The number of crashed attempts by cause.
    pub crashes_by_cause: BTreeMap<Cause, u64>,
    /// The newest attempt.
    pub last: Option<Attempt>,
    /// How the run of the newest attempt ended; `None` while it is open.
    pub last_run_end: Option<RunEnd>,
    /// The cause of the newest attempt that has ended.
    pub last_cause: Option<Cause>,
    /// The newest progress of any ended attempt that named a checkpoint.
    pub last_checkpoint: Option<Progress>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: BootId = BootId::from_bytes([1; 16]);
    const STARTED: i64 = 1_795_471_200;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_micros(second * 1_000_000)
    }

    fn attempt(end: Option<(i64, u32)>) -> Attempt {
        let end = end.map(|(second, ran_for)| {
            let ran_for = Some(TimeSpan::from_secs(ran_for));
            let evidence = Evidence { ran_for, ..Evidence::default() };
            AttemptEnd { at: at(second), cause: evidence.prove(), evidence }
        });
        Attempt {
            run: "x#1".parse().unwrap(),
            number: AttemptNumber(1),
            key: AttemptKey { boot: BOOT, invocation: InvocationId::from_bytes([2; 16]) },
            started: at(STARTED),
            started_uptime: Some(Uptime::from_secs(100)),
            ready: None,
            end,
            board: None,
        }
    }

    #[test]
    fn an_attempt_is_in_order_if_both_clocks_agree() {
        let is_in_order =
            |end, now| attempt(end).is_in_order(BOOT, at(now), Uptime::from_secs(160));
        assert!(is_in_order(Some((STARTED + 10, 7)), 0), "it was started and stopped as well");
        assert!(!is_in_order(Some((5, 7)), 0), "set back");
        assert!(!is_in_order(Some((STARTED + 10, 3000)), 0), "set back by less");
        assert!(!is_in_order(Some((STARTED + 63_000_000, 7)), 0), "set forward");
        assert!(is_in_order(None, STARTED + 60));
        assert!(!is_in_order(None, 60));
        let other = BootId::from_bytes([9; 16]);
        let now = at(STARTED + 60);
        assert!(!attempt(None).is_in_order(other, now, Uptime::from_secs(160)), "not known");
    }

    #[test]
    fn the_age_of_an_attempt_is_measured_by_the_clock_of_its_boot() {
        let open = attempt(None);
        assert_eq!(open.age(BOOT, Uptime::from_secs(160)), Some(TimeSpan::from_secs(60)));
        assert_eq!(open.age(BootId::from_bytes([9; 16]), Uptime::from_secs(160)), None);
        assert_eq!(open.age(BOOT, Uptime::from_secs(1)), None);
        let end = attempt(Some((5, 7))).end.unwrap();
        assert_eq!(end.ran_for(at(STARTED)), Some(TimeSpan::from_secs(7)));
    }
}
