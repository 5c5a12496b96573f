//! When a run goes on and when it is over.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cause::EXIT_NEVER;
use crate::{AttemptEnd, Cause, Exit};

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
    /// Power cut, reboot, heat and every crash leave the run open: the next start carries it on, or
    /// [`Continuation::decide`](crate::Continuation::decide) finds that it gave up.
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

    /// As [`RunEnd::after`], for a run that was put back into the queue while the attempt lived:
    /// who stopped the attempt did so to have the run wait, not to end it.
    pub fn after_put_back(end: &AttemptEnd) -> Option<Self> {
        match Self::after(end) {
            Some(Self::Stopped) | None => None,
            Some(how @ (Self::Success | Self::Never | Self::GaveUp | Self::Cancelled)) => Some(how),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Evidence, Timestamp};

    fn end(cause: Cause, exit: Option<Exit>) -> AttemptEnd {
        let evidence = Evidence { exit, ..Evidence::default() };
        AttemptEnd { at: Timestamp::from_micros(2), cause, evidence }
    }

    #[test]
    fn a_crash_leaves_the_run_open_and_success_ends_it() {
        assert_eq!(RunEnd::after(&end(Cause::Success, None)), Some(RunEnd::Success));
        assert_eq!(RunEnd::after(&end(Cause::Stopped, None)), Some(RunEnd::Stopped));
        assert_eq!(RunEnd::after(&end(Cause::Exit, Some(Exit::Code(78)))), Some(RunEnd::Never));
        for cause in [
            Cause::OomKill,
            Cause::PowerLoss,
            Cause::Reboot,
            Cause::ManagerStop,
            Cause::Heat,
            Cause::Exit,
        ] {
            assert_eq!(RunEnd::after(&end(cause, Some(Exit::Code(1)))), None, "{cause}");
        }
    }

    #[test]
    fn a_stop_does_not_end_a_run_that_waits_again() {
        assert_eq!(RunEnd::after_put_back(&end(Cause::Stopped, None)), None);
        assert_eq!(RunEnd::after_put_back(&end(Cause::OomKill, None)), None);
        let done = RunEnd::after_put_back(&end(Cause::Success, None));
        assert_eq!(done, Some(RunEnd::Success), "it was faster");
    }
}
