//! What the hooks ask the journal.

use bij_core::{Evidence, ExperimentId, InvocationId, TimeSpan, Timestamp};
use thiserror::Error;

/// The end of one life of a unit, as its manager logged it.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggedEnd {
    /// When it ended.
    pub at: Timestamp,
    /// When it was up, if it was.
    pub ready: Option<Timestamp>,
    /// What the records say.
    pub evidence: Evidence,
}

/// The journal did not answer.
#[derive(Debug, Error)]
#[error("the journal cannot be asked")]
pub struct JournalError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// The records of the service manager and the kernel, as a hook needs them.
pub trait Journal {
    /// When and how one life of a unit ended, as its manager logged it; `None` if it did not.
    ///
    /// # Errors
    /// [`JournalError`] if the journal cannot be read.
    fn end_of(&self, invocation: InvocationId) -> Result<Option<LoggedEnd>, JournalError>;

    /// Returns the names of the processes of one life of a unit that its manager had to kill.
    ///
    /// # Errors
    /// [`JournalError`] if the journal cannot be read.
    fn killed_in(&self, invocation: InvocationId) -> Result<Vec<String>, JournalError>;

    /// Returns the newest `count` lines that an experiment printed in one life of its unit, oldest first.
    /// Waits some seconds for a journal that is behind.
    ///
    /// # Errors
    /// [`JournalError`] if the journal cannot be read.
    fn last_lines(
        &self,
        id: &ExperimentId,
        invocation: InvocationId,
        count: usize,
    ) -> Result<Vec<String>, JournalError>;

    /// The kernel's newest line about a process that it killed for memory in the unit's control
    /// group since `since` (by the clock that counts from boot), where that can be read.
    fn oom_line(&self, id: &ExperimentId, since: Option<TimeSpan>) -> Option<String>;
}
