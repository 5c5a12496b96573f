//! The queue beside what is set aside.

use bij_core::port::{Change, LedgerError, RunQueue};
use bij_core::queue::{Event, Queue, QueuedRun, RunRef, Submission};
use bij_core::{Outcome, RunState, Timestamp};

use std::sync::PoisonError;

use super::{Loaded, RobustLedger};
use crate::failure::Failure;
use crate::file_id::FileId;

/// Nothing of the queue is set aside: what the database cannot take is refused, for who has asked
/// is still there to be told so.
impl RunQueue for RobustLedger {
    /// What was loaded and is gone is not given up for an empty queue: that is
    /// [`LedgerError::Replaced`] until there is a database again.
    fn load(&self) -> Result<Queue, LedgerError> {
        let found = FileId::of(&self.database);
        let queue = self.reader.load()?;
        let now_found = FileId::of(&self.database);
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let new = match (*loaded, found) {
            (_, Some(file)) if now_found == found => Loaded::File(file),
            (Loaded::Never | Loaded::Nothing, None) if now_found.is_none() => Loaded::Nothing,
            (Loaded::File(_), None) => {
                return Err(Failure::Gone { path: self.database.clone() }.into());
            }
            // It was made, removed or replaced while it was read.
            _ => return Err(Failure::Another { path: self.database.clone() }.into()),
        };
        *loaded = new;
        Ok(queue)
    }

    fn submit(
        &mut self,
        submissions: &[Submission],
        at: Timestamp,
    ) -> Result<Vec<QueuedRun>, LedgerError> {
        self.write(|store| store.submit(submissions, at))
    }

    fn change(&mut self, changes: &[Change], at: Timestamp) -> Result<Vec<Outcome>, LedgerError> {
        self.write(|store| store.change(changes, at))
    }

    fn run_state(&self, run: &RunRef) -> Result<Option<RunState>, LedgerError> {
        self.reader.run_state(run)
    }

    fn events(&self, after: u64, at_most: usize) -> Result<Vec<Event>, LedgerError> {
        self.must_be_what_was_loaded()?;
        self.reader.events(after, at_most)
    }
}
