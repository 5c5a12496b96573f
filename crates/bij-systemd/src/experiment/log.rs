//! The lines of experiments' logs, of their managers and of their hooks.

mod author;
#[cfg(test)]
mod fuzz;
mod lines;
mod query;

use bij_core::Timestamp;

use crate::journal::{Journal, JournalError};

pub use author::Writer;
pub use lines::{JournalLine, JournalLines};
pub use query::{AttemptSpan, JournalQuery};

impl Journal {
    /// Returns the log lines of experiments, oldest first. With [`JournalQuery::follow`] the iterator waits for new lines
    /// until it is stopped.
    ///
    /// # Errors
    /// [`JournalError::Spawn`] if there is no journalctl; later errors are items of the iterator.
    pub fn lines(
        &self,
        query: &JournalQuery,
        now: Timestamp,
    ) -> Result<JournalLines, JournalError> {
        JournalLines::new(self.clone(), query.clone(), now)
    }
}

#[cfg(test)]
mod tests;
