//! One life of a run's process, as the ledger keeps it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    AttemptBoard, AttemptNumber, BootId, Cause, Evidence, InvocationId, Progress, RunEnd, RunId,
    TimeSpan, Timestamp,
};

/// What names an attempt whoever speaks of it: the boot, and systemd's id of the unit's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptKey {
    /// The boot it lived in.
    pub boot: BootId,
    /// The unit's life it was.
    pub invocation: InvocationId,
}

/// One life of a run's process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The run it belongs to.
    pub run: RunId,
    /// Its number within the run.
    pub number: AttemptNumber,
    /// Its key.
    pub key: AttemptKey,
    /// When it was opened.
    pub started: Timestamp,
    /// The uptime of its boot when it was opened (`CLOCK_BOOTTIME`, which is not set), where that is known.
    #[serde(default)]
    pub started_uptime: Option<TimeSpan>,
    /// When it was up, where that is known.
    pub ready: Option<Timestamp>,
    /// How it ended; `None` while it is open.
    pub end: Option<AttemptEnd>,
    /// What the board went through while it lived; `None` while it is open, and where nobody watched
    /// all of its life.
    pub board: Option<AttemptBoard>,
}

/// Two clocks that are read one after the other differ by less, in microseconds.
const CLOCKS_DIFFER: u64 = 1_000_000;
/// What an attempt takes besides the run of its process: to be started, and to be stopped.
const START_AND_STOP: u64 = 900 * 1_000_000;

impl Attempt {
    /// Whether a reboot, the end of the user's service manager or heat ended it: the next start of its
    /// run is another attempt of it, in whichever boot.
    pub fn was_interrupted(&self) -> bool {
        self.end.as_ref().is_some_and(|end| {
            matches!(end.cause, Cause::Reboot | Cause::ManagerStop | Cause::Heat)
        })
    }

    /// Returns `true` if all that was recorded while it lived lies between its start and its end, or now: as
    /// much time passed by the time of day as by a clock that is not set.
    pub fn is_in_order(&self, boot: BootId, now: Timestamp, uptime: TimeSpan) -> bool {
        let (passed, measured) = match &self.end {
            Some(end) => (end.at.since(self.started), end.evidence.ran_for),
            None => (now.since(self.started), self.age(boot, uptime)),
        };
        passed.zip(measured).is_some_and(|(passed, measured)| {
            let (passed, measured) = (passed.as_micros(), measured.as_micros());
            measured.saturating_sub(passed) <= CLOCKS_DIFFER
                && passed.saturating_sub(measured) <= START_AND_STOP
        })
    }

    /// Returns how long ago it was opened, by the clock of its boot; `None` in another boot, and where that
    /// is not known.
    pub fn age(&self, boot: BootId, uptime: TimeSpan) -> Option<TimeSpan> {
        let started = self.started_uptime.filter(|_| self.key.boot == boot)?;
        uptime.checked_sub(started)
    }

    /// Returns how long ago it was opened: by the clock of its boot, and by the time of day where that is not
    /// known; `None` if the time of day was set back since.
    pub fn started_ago(
        &self,
        boot: BootId,
        uptime: Option<TimeSpan>,
        now: Timestamp,
    ) -> Option<TimeSpan> {
        uptime.and_then(|uptime| self.age(boot, uptime)).or_else(|| now.since(self.started))
    }
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptEnd {
    /// When; may lie before the start if the clock went back.
    pub at: Timestamp,
    /// Why, from the evidence.
    pub cause: Cause,
    /// What the witnesses said.
    pub evidence: Evidence,
}

impl AttemptEnd {
    /// Whether it is a crash.
    pub fn is_crash(&self) -> bool {
        self.cause.is_crash(self.evidence.exit.and_then(crate::Exit::code))
    }

    /// Returns how long an attempt that was opened at this time ran: as its witness measured it, or else
    /// by the time of day; `None` if that went back.
    pub fn ran_for(&self, started: Timestamp) -> Option<TimeSpan> {
        self.evidence.ran_for.or_else(|| self.at.since(started))
    }
}

/// What an experiment's whole history adds up to. Its counters never go back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Attempts, open ones included.
    pub attempts: u64,
    /// Attempts that crashed, over all runs.
    pub crashes: u64,
    /// Crashed attempts by cause.
    pub crashes_by_cause: BTreeMap<Cause, u64>,
    /// The newest attempt.
    pub last: Option<Attempt>,
    /// How the run of the newest attempt ended, if it did.
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
            started_uptime: Some(TimeSpan::from_secs(100)),
            ready: None,
            end,
            board: None,
        }
    }

    #[test]
    fn an_attempt_is_in_order_if_both_clocks_passed_alike() {
        let is_in_order =
            |end, now| attempt(end).is_in_order(BOOT, at(now), TimeSpan::from_secs(160));
        assert!(is_in_order(Some((STARTED + 10, 7)), 0), "it was started and stopped as well");
        assert!(!is_in_order(Some((5, 7)), 0), "set back");
        assert!(!is_in_order(Some((STARTED + 10, 3000)), 0), "set back by less");
        assert!(!is_in_order(Some((STARTED + 63_000_000, 7)), 0), "set forward");
        assert!(is_in_order(None, STARTED + 60));
        assert!(!is_in_order(None, 60));
        let other = BootId::from_bytes([9; 16]);
        let now = at(STARTED + 60);
        assert!(!attempt(None).is_in_order(other, now, TimeSpan::from_secs(160)), "not known");
    }

    #[test]
    fn an_age_is_told_by_the_clock_of_its_boot() {
        let open = attempt(None);
        assert_eq!(open.age(BOOT, TimeSpan::from_secs(160)), Some(TimeSpan::from_secs(60)));
        assert_eq!(open.age(BootId::from_bytes([9; 16]), TimeSpan::from_secs(160)), None);
        assert_eq!(open.age(BOOT, TimeSpan::from_secs(1)), None);
        let end = attempt(Some((5, 7))).end.unwrap();
        assert_eq!(end.ran_for(at(STARTED)), Some(TimeSpan::from_secs(7)));
    }
}
