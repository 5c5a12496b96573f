//! The states and ends of runs.

use std::fmt;

use crate::cause::EXIT_NEVER;
use crate::{AttemptEnd, Cause, Exit};

/// Whether a run is open, or how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum RunState {
    /// An attempt is running, or the next one is expected.
    Open,
    /// The run has ended.
    Ended(RunEnd),
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum RunEnd {
    /// Its last attempt succeeded.
    Success,
    /// It was stopped on request.
    Stopped,
    /// Its last attempt exited with 78, which forbids a restart.
    Never,
    /// It used up its restarts.
    GaveUp,
    /// It was removed from the queue on request.
    Cancelled,
}

impl RunEnd {
    /// All ways in which a run ends.
    pub const ALL: [Self; 5] =
        [Self::Success, Self::Stopped, Self::Never, Self::GaveUp, Self::Cancelled];

    /// Returns the name of the end in output and databases.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Stopped => "stopped",
            Self::Never => "never",
            Self::GaveUp => "gave-up",
            Self::Cancelled => "cancelled",
        }
    }

    /// Returns how the end of an attempt ends its run; `None` if the run stays open.
    ///
    /// Power cut, reboot, heat and every crash leave the run open: the next start continues it, or
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

    /// As [`RunEnd::after`], for a run that was requeued during the attempt: a stop of the attempt then does
    /// not end the run, which waits again.
    pub fn after_put_back(end: &AttemptEnd) -> Option<Self> {
        match Self::after(end) {
            Some(Self::Stopped) | None => None,
            Some(end @ (Self::Success | Self::Never | Self::GaveUp | Self::Cancelled)) => Some(end),
        }
    }
}

impl fmt::Display for RunEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Whether a start is an automatic restart, which decides the run that its attempt belongs to
/// ([`Continuation::decide`](crate::Continuation::decide)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum StartKind {
    /// A restart by the supervisor after a crash (`Restart=`): `NRestarts` is above zero.
    Restart,
    /// Any other start: by a user, at boot, or by a coordinator.
    ///
    /// After a crash in the same boot, a fresh start opens a new run, or begins the next one in the queue, and the
    /// crashed run ends as [`GaveUp`](RunEnd::GaveUp): a supervisor that wants to continue the run says `Restart`. A
    /// run that a reboot, a power cut or heat has interrupted is continued by a fresh start too.
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
    fn a_stop_does_not_end_a_requeued_run() {
        assert_eq!(RunEnd::after_put_back(&end(Cause::Stopped, None)), None);
        assert_eq!(RunEnd::after_put_back(&end(Cause::OomKill, None)), None);
        let done = RunEnd::after_put_back(&end(Cause::Success, None));
        assert_eq!(done, Some(RunEnd::Success), "it ended before the stop");
    }
}
