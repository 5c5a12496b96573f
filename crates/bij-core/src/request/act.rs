//! Actions on runs, and their results.

use crate::{Outcome, RunId};

/// An action on runs, applied to all of them or to none.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(tag = "act", rename_all = "kebab-case", deny_unknown_fields))]
pub enum Act {
    /// Holds waiting runs, which then do not start.
    Hold,
    /// Releases held runs, which then wait for their gates again.
    Release,
    /// Removes runs from the queue; an active run is stopped.
    Cancel,
    /// Stops active runs gracefully and returns them to the queue.
    Requeue,
    /// Changes the priority of waiting runs.
    Prioritize {
        /// The new priority; higher goes first.
        priority: i32,
    },
    /// Moves waiting runs, in the order in which they are named.
    Move {
        /// The new position.
        to: MoveTo,
    },
    /// Stops active runs gracefully, which ends the runs.
    Stop,
}

/// A position among waiting runs. A run that is moved beside another also gets its priority.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum MoveTo {
    /// Before all runs of the same priority.
    First,
    /// Behind all runs of the same priority.
    Last,
    /// Directly before this run.
    Before(#[cfg_attr(feature = "serde", serde(with = "super::run_text"))] RunId),
    /// Directly behind this run.
    Behind(#[cfg_attr(feature = "serde", serde(with = "super::run_text"))] RunId),
}

/// The result of a request for one run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RunOutcome {
    /// The run of the request; a name without a number has been resolved.
    #[cfg_attr(feature = "serde", serde(with = "super::run_text"))]
    pub run: RunId,
    /// Whether the request changed anything; a stop under way counts as a change.
    pub changed: bool,
}

impl RunOutcome {
    /// Returns the result for a run.
    pub fn new(run: RunId, outcome: Outcome) -> Self {
        Self { run, changed: outcome == Outcome::Changed }
    }
}
