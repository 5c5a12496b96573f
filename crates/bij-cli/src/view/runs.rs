//! The results of verbs that change the queue.

use std::io::{self, Write};

use bij_core::request::{QueueEntry, RunOutcome};
use serde::Serialize;

use super::{Format, View};

/// Runs that were submitted or edited: their names as text, all their keys in JSON.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct RunEntries(pub(crate) Vec<QueueEntry>);

impl View for RunEntries {
    fn text(&self, out: &mut dyn Write, _: &Format) -> io::Result<()> {
        self.0.iter().try_for_each(|entry| writeln!(out, "{}", entry.id()))
    }
}

/// The result of a verb that changes runs: one entry per run.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct ChangedRuns(pub(crate) Vec<RunOutcome>);

impl View for ChangedRuns {
    /// Writes nothing: each result was already reported on stderr.
    fn text(&self, _: &mut dyn Write, _: &Format) -> io::Result<()> {
        Ok(())
    }
}

/// The result of a verb that changes a group, the admission or the power mode.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct ChangeResult {
    pub(crate) changed: bool,
}

impl View for ChangeResult {
    fn text(&self, _: &mut dyn Write, _: &Format) -> io::Result<()> {
        Ok(())
    }
}
