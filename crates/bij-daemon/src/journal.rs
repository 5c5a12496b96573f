//! What the hooks ask the journal.

use bij_core::{AttemptKey, Evidence, ExperimentId, Timestamp};
use thiserror::Error;

/// The journal did not answer.
#[derive(Debug, Error)]
#[error("cannot {action}")]
pub struct JournalError {
    /// What was asked.
    pub action: String,
    /// What went wrong.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// The records of PID 1 and the kernel, as a hook needs them.
pub trait Journal {
    /// When and how an attempt of this boot ended, as PID 1 logged it; `None` if it did not.
    ///
    /// # Errors
    /// [`JournalError`] if the journal cannot be read.
    fn end_of(
        &self,
        id: &ExperimentId,
        key: AttemptKey,
    ) -> Result<Option<(Timestamp, Evidence)>, JournalError>;

    /// The kernel's line about a process that it killed for memory in the unit's control group
    /// since `started`.
    ///
    /// # Errors
    /// [`JournalError`] if the journal cannot be read.
    fn oom_line(
        &self,
        id: &ExperimentId,
        started: Timestamp,
    ) -> Result<Option<String>, JournalError>;
}
