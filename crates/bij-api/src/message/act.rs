//! What is done to runs, and what became of it.

use bij_core::queue::GroupName;
use bij_core::{Outcome, RunId};
use serde::{Deserialize, Serialize};

/// What is to be done to runs, to all of them or to none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Act {
    /// Keeps waiting ones from starting.
    Hold,
    /// Lets held ones wait for their gates again.
    Release,
    /// Takes them out of the queue; one that runs is stopped.
    Cancel,
    /// Stops those that run in good order and lets them wait again.
    Requeue,
    /// Gives waiting ones another priority.
    Prioritize {
        /// Higher goes first.
        priority: i32,
    },
    /// Gives waiting ones another place, in the order in which they are named.
    Move {
        /// Which.
        to: MoveTo,
    },
    /// Stops those that run in good order; that ends their runs.
    Stop,
}

/// A place among waiting runs. Who is put beside another gets its priority too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MoveTo {
    /// Before all of the same priority.
    First,
    /// Behind all of the same priority.
    Last,
    /// Just before this one.
    Before(#[serde(with = "super::run_text")] RunId),
    /// Just behind this one.
    Behind(#[serde(with = "super::run_text")] RunId),
}

/// Whose admission is paused or resumed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pausing {
    /// Of one group; absent is all.
    #[serde(default)]
    pub group: Option<GroupName>,
    /// Whether it is paused from now on.
    pub paused: bool,
}

/// What became of one run, or of something else that was to be changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// Which run.
    #[serde(with = "super::run_text")]
    pub run: RunId,
    /// Whether anything had to be changed.
    pub changed: bool,
}

impl Changed {
    /// What became of a run.
    pub fn new(run: RunId, outcome: Outcome) -> Self {
        Self { run, changed: outcome == Outcome::Changed }
    }
}
