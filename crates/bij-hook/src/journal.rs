//! The journal as a port of the hooks.

use bij_core::{Evidence, ExperimentId, InvocationId, MonotonicTime, Timestamp};
use thiserror::Error;

/// The end of one invocation of a unit, as its manager logged it.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggedEnd {
    /// When the invocation ended.
    pub at: Timestamp,
    /// When the unit became ready, if it did.
    pub ready: Option<Timestamp>,
    /// The evidence from the log records.
    pub evidence: Evidence,
}

/// The journal could not be read.
#[derive(Debug, Error)]
#[error("cannot read the journal")]
pub struct JournalError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Log records of the service manager, the kernel and the experiments.
pub trait Journal {
    /// Returns when and how one invocation of a unit ended; `None` if its manager logged no end.
    ///
    /// # Errors
    /// [`JournalError`] if the journal cannot be read.
    fn end_of(&self, invocation: InvocationId) -> Result<Option<LoggedEnd>, JournalError>;

    /// Returns the names of the processes of one invocation of a unit that its manager had to kill.
    ///
    /// # Errors
    /// [`JournalError`] if the journal cannot be read.
    fn killed_in(&self, invocation: InvocationId) -> Result<Vec<String>, JournalError>;

    /// Returns the newest `count` lines that an experiment printed in one invocation of its unit, oldest first.
    /// Waits up to some seconds for lines that the journal has yet to store.
    ///
    /// # Errors
    /// [`JournalError`] if the journal cannot be read.
    fn last_lines(
        &self,
        id: &ExperimentId,
        invocation: InvocationId,
        count: usize,
    ) -> Result<Vec<String>, JournalError>;

    /// Returns the kernel's newest line about an OOM kill in the unit's control group since `since`
    /// (`CLOCK_MONOTONIC`), if it can be read.
    fn oom_line(&self, id: &ExperimentId, since: Option<MonotonicTime>) -> Option<String>;
}
