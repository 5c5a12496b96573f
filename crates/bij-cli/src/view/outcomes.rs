//! What became of each experiment that something was done to.

use std::io::{self, Write};

use bij_core::ExperimentId;
use serde::Serialize;

use super::{Format, Queued, View};

/// One entry an experiment: the result of start, stop and their like.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Outcomes(pub(crate) Vec<Outcome>);

/// What was done to one experiment.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) id: ExperimentId,
    #[serde(rename = "outcome")]
    pub(crate) effect: Effect,
    /// What went wrong.
    pub(crate) error: Option<String>,
    /// The run that waits in the queue instead of being up.
    pub(crate) queued: Option<Queued>,
}

/// Whether anything changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Effect {
    /// It was done.
    Changed,
    /// It already was as asked.
    Unchanged,
    /// A condition said "not now".
    Skipped,
    /// It could not be done.
    Failed,
}

impl View for Outcomes {
    /// People are told on stderr while it happens; the result itself is silent, as in systemctl.
    fn text(&self, _: &mut dyn Write, _: &Format) -> io::Result<()> {
        Ok(())
    }
}
