//! When a run goes on and when it is over.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cause::EXIT_NEVER;
use crate::{Attempt, AttemptEnd, BootId, Cause, Exit};

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// An attempt lives, or the next one is expected.
    Open,
    /// It is over.
    Ended(RunEnd),
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunEnd {
    /// Its last attempt was a success.
    Success,
    /// Somebody stopped it.
    Stopped,
    /// It left with 78: never again.
    Never,
    /// It used up its restarts.
    GaveUp,
    /// Somebody took it out of the queue.
    Cancelled,
}

impl RunEnd {
    /// All ways to end.
    pub const ALL: [Self; 5] =
        [Self::Success, Self::Stopped, Self::Never, Self::GaveUp, Self::Cancelled];

    /// The word for it in output and databases.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Stopped => "stopped",
            Self::Never => "never",
            Self::GaveUp => "gave-up",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the end of an attempt is the end of its run.
    ///
    /// Power cut, reboot and every crash leave the run open: the next start carries it on, or
    /// [`Continuation::decide`] finds that it gave up.
    pub fn after(end: &AttemptEnd) -> Option<Self> {
        match (end.cause, end.evidence.exit) {
            (Cause::Success, _) => Some(Self::Success),
            (Cause::Stopped | Cause::StopTimeout, _) => {
                // A stop time-out without an order is a crash like any other.
                (end.cause == Cause::Stopped || end.evidence.order.is_some())
                    .then_some(Self::Stopped)
            }
            (Cause::Exit, Some(Exit::Code(EXIT_NEVER))) => Some(Self::Never),
            _ => None,
        }
    }
}

impl fmt::Display for RunEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Who asked for a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StartKind {
    /// The supervisor, after a crash (`Restart=`): `NRestarts` is above zero.
    Restart,
    /// Anyone else: a person, the boot, a coordinator.
    Fresh,
}

/// Whether a start carries on the newest run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Continuation {
    /// The same run, next attempt.
    Same,
    /// A new run; the newest one, if still open, ended thus.
    New {
        /// How the newest run is to be marked as ended.
        closes: Option<RunEnd>,
    },
}

impl Continuation {
    /// Decides for a start in `boot`, given the newest attempt and how its run ended.
    ///
    /// A fresh start in the boot in which the last attempt crashed means that systemd did not
    /// bring it back: the run had used up its restarts. After a boot an open run goes on.
    pub fn decide(
        newest: Option<(&Attempt, Option<RunEnd>)>,
        start: StartKind,
        boot: BootId,
    ) -> Self {
        match newest {
            None | Some((_, Some(_))) => Self::New { closes: None },
            Some((attempt, None)) if start == StartKind::Fresh && attempt.key.boot == boot => {
                let interrupted =
                    attempt.end.as_ref().is_some_and(|end| end.cause == Cause::Reboot);
                if interrupted { Self::Same } else { Self::New { closes: Some(RunEnd::GaveUp) } }
            }
            Some((_, None)) => Self::Same,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AttemptKey, AttemptNumber, Evidence, InvocationId, RunId, Timestamp};

    const HERE: BootId = BootId::from_bytes([1; 16]);
    const THERE: BootId = BootId::from_bytes([2; 16]);

    fn end(cause: Cause, exit: Option<Exit>) -> AttemptEnd {
        let evidence = Evidence { exit, ..Evidence::default() };
        AttemptEnd { at: Timestamp::from_micros(2), cause, evidence }
    }

    fn attempt(boot: BootId, end: Option<AttemptEnd>) -> Attempt {
        Attempt {
            run: "x#1".parse::<RunId>().unwrap(),
            number: AttemptNumber(1),
            key: AttemptKey { boot, invocation: InvocationId::from_bytes([7; 16]) },
            started: Timestamp::from_micros(1),
            ready: None,
            end,
        }
    }

    #[test]
    fn a_crash_leaves_the_run_open_and_success_ends_it() {
        assert_eq!(RunEnd::after(&end(Cause::Success, None)), Some(RunEnd::Success));
        assert_eq!(RunEnd::after(&end(Cause::Stopped, None)), Some(RunEnd::Stopped));
        assert_eq!(RunEnd::after(&end(Cause::Exit, Some(Exit::Code(78)))), Some(RunEnd::Never));
        for cause in [Cause::OomKill, Cause::PowerLoss, Cause::Reboot, Cause::Exit] {
            assert_eq!(RunEnd::after(&end(cause, Some(Exit::Code(1)))), None, "{cause}");
        }
    }

    #[test]
    fn a_restart_carries_on_and_so_does_the_next_boot() {
        let crashed = attempt(HERE, Some(end(Cause::OomKill, None)));
        let decide = |newest, start, boot| Continuation::decide(newest, start, boot);
        assert_eq!(decide(Some((&crashed, None)), StartKind::Restart, HERE), Continuation::Same);
        assert_eq!(decide(Some((&crashed, None)), StartKind::Fresh, THERE), Continuation::Same);
        assert_eq!(
            decide(Some((&crashed, None)), StartKind::Fresh, HERE),
            Continuation::New { closes: Some(RunEnd::GaveUp) }
        );
    }

    #[test]
    fn an_ended_run_is_never_carried_on() {
        let done = attempt(HERE, Some(end(Cause::Success, None)));
        let newest = Some((&done, Some(RunEnd::Success)));
        for boot in [HERE, THERE] {
            let decided = Continuation::decide(newest, StartKind::Restart, boot);
            assert_eq!(decided, Continuation::New { closes: None });
        }
        let first = Continuation::decide(None, StartKind::Fresh, HERE);
        assert_eq!(first, Continuation::New { closes: None });
    }
}
