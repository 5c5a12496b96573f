//! Requests with what the caller cannot say: its name, and what is known of it.

use bij_core::request::{Submit, SubmitOptions};
use bij_core::{ExperimentId, InvocationId};

/// Runs that one caller submits together, all or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmitRequest {
    /// Runs to submit.
    pub runs: Vec<Submit>,
    /// Name of the caller, for output.
    pub by: String,
    /// Options of the submission.
    pub options: SubmitOptions,
}

impl SubmitRequest {
    /// Returns a request to submit runs for the caller `by`.
    pub fn new(by: &str, runs: impl IntoIterator<Item = Submit>) -> Self {
        Self {
            runs: runs.into_iter().collect(),
            by: by.to_owned(),
            options: SubmitOptions::default(),
        }
    }
}

/// A start that was requested elsewhere and asks for admission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartRequest {
    /// Experiment to start.
    pub experiment: ExperimentId,
    /// Whether this is a start at boot. An enabled experiment whose last run succeeded is then not run again,
    /// unless its definition says so.
    pub at_boot: bool,
    /// Requester, if known: `systemctl start`, `boot`.
    pub by: String,
    /// Invocation of the unit that asks.
    pub invocation: Option<InvocationId>,
    /// Overlay on the definition for this start, as TOML; may be empty. It is kept with the run if the run
    /// has to wait.
    pub extras: String,
}
