//! The results of verbs that change runs, units and groups.

use std::io::{self, Write};

use bij_core::ExperimentId;
use bij_core::request::{QueueEntry, RunOutcome};
use serde::Serialize;

use super::{TextFormat, View, WaitingRun};

/// Runs that were submitted or edited: their names as text, all their keys in JSON.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct RunEntries(pub(crate) Vec<QueueEntry>);

impl View for RunEntries {
    fn text(&self, out: &mut dyn Write, _: &TextFormat) -> io::Result<()> {
        self.0.iter().try_for_each(|entry| writeln!(out, "{}", entry.id()))
    }
}

/// The result of a verb that changes runs: one entry per run.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct ChangedRuns(pub(crate) Vec<RunOutcome>);

impl View for ChangedRuns {
    /// Writes nothing: each result was already reported on stderr.
    fn text(&self, _: &mut dyn Write, _: &TextFormat) -> io::Result<()> {
        Ok(())
    }
}

/// The result of a verb that changes a group, the admission or the power mode.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct ChangeResult {
    pub(crate) changed: bool,
}

impl View for ChangeResult {
    fn text(&self, _: &mut dyn Write, _: &TextFormat) -> io::Result<()> {
        Ok(())
    }
}

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
    fn text(&self, _: &mut dyn Write, _: &TextFormat) -> io::Result<()> {
        Ok(())
    }
}
