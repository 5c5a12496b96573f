//! The queue of the robust ledger.

use bij_core::port::{Change, LedgerError, RunQueue};
use bij_core::queue::{Event, Queue, QueuedRun, RunRef, Submission};
use bij_core::{Outcome, RunState, Timestamp};

use std::sync::PoisonError;

use super::{LoadedDatabase, RobustLedger};
use crate::database_error::DatabaseError;
use crate::file_id::FileId;

/// Requests to the queue are never spooled: if the database refuses one, its caller gets the error.
impl RunQueue for RobustLedger {
    /// Returns [`LedgerError::Replaced`], not an empty queue, while a database that was loaded before is
    /// missing.
    fn load(&self) -> Result<Queue, LedgerError> {
        let found = FileId::read(&self.database);
        let queue = self.reader.load()?;
        let now_found = FileId::read(&self.database);
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let new = match (*loaded, found) {
            (_, Some(file)) if now_found == found => LoadedDatabase::File(file),
            (LoadedDatabase::Never | LoadedDatabase::Missing, None) if now_found.is_none() => {
                LoadedDatabase::Missing
            }
            (LoadedDatabase::File(_), None) => {
                return Err(DatabaseError::Gone { path: self.database.clone() }.into());
            }
            // It was created, removed or replaced while it was read.
            _ => return Err(DatabaseError::Another { path: self.database.clone() }.into()),
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
        self.ensure_loaded_file()?;
        self.reader.events(after, at_most)
    }
}
