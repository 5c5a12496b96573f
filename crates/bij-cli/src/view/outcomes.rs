//! The results of actions on units.

use std::io::{self, Write};

use bij_core::ExperimentId;
use serde::Serialize;

use super::{Format, View, WaitingRun};

/// The result of `bij start`, `stop` and similar verbs: one entry per experiment.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct UnitOutcomes(pub(crate) Vec<UnitOutcome>);

/// The result of an action on one experiment.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct UnitOutcome {
    pub(crate) id: ExperimentId,
    #[serde(rename = "outcome")]
    pub(crate) effect: Effect,
    /// The error, if the action failed.
    pub(crate) error: Option<String>,
    /// The run that waits in the queue, if the experiment was not started.
    pub(crate) queued: Option<WaitingRun>,
}

/// The effect of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Effect {
    /// The action was executed.
    Changed,
    /// No action was needed.
    Unchanged,
    /// The start was skipped, because a condition is not met or a gate is closed.
    Skipped,
    Failed,
}

impl View for UnitOutcomes {
    /// Writes nothing: each result was already reported on stderr, and systemctl is silent too.
    fn text(&self, _: &mut dyn Write, _: &Format) -> io::Result<()> {
        Ok(())
    }
}
