//! The ledger and the queue for those who may write them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bij_core::port::{
    AttemptQuery, Change, Closing, Ledger, LedgerError, Opened, Opening, RunQueue,
};
use bij_core::queue::{Event, Queue, QueuedRun, RunRef, Submission};
use bij_core::{Attempt, AttemptKey, BootId, ExperimentId, Outcome, RunState, Tally, Timestamp};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::failure::Failure;
use crate::file_id::FileId;
use crate::flush::Flush;
use crate::spool::Record;
use crate::{open, queue, read, write};

/// The ledger and the queue in their database.
///
/// Each write is one transaction that takes the right to write before it reads (`BEGIN IMMEDIATE`),
/// so that any number of processes agree on the numbers of runs and attempts. When a write has
/// returned, it is on the disk, but for what a power cut would undo by itself ([`RunQueue`]).
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
    /// The file that is open. What is written into it is kept only while it is at its path.
    file: FileId,
    patience: Duration,
}

impl Store {
    /// Opens the database to write; makes it, and its directory, if there is none.
    ///
    /// A call waits up to five seconds while somebody else writes.
    ///
    /// # Errors
    /// [`LedgerError`], above all if it may not be written, is damaged, or is of a newer bij.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        Self::open_with_patience(path, open::PATIENCE)
    }

    /// As [`Store::open`], with another time to wait while somebody else writes.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with_patience(path: &Path, patience: Duration) -> Result<Self, LedgerError> {
        let (connection, file) = open::to_write(path, patience)?;
        Ok(Self { connection, path: path.to_owned(), file, patience })
    }

    /// As [`Store::open_with_patience`], but fails if there is no database: one that was moved aside must not
    /// find an empty one in its place.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_existing(path: &Path, patience: Duration) -> Result<Self, LedgerError> {
        let (connection, file) = open::existing_to_write(path, patience)?;
        Ok(Self { connection, path: path.to_owned(), file, patience })
    }

    /// The attempt with this key.
    ///
    /// # Errors
    /// [`LedgerError`] if it could not be read.
    pub fn attempt(&self, key: AttemptKey) -> Result<Option<Attempt>, LedgerError> {
        Ok(read::attempt(&self.connection, key)?.map(|(_, attempt)| attempt))
    }

    /// Takes in what was set aside; a record that is known already changes nothing.
    pub(crate) fn apply(&mut self, record: &Record) -> Result<(), Failure> {
        self.write(Flush::Now, |within| match record {
            Record::Open(opening) => write::open(within, opening).map(drop),
            Record::Close(closing) => write::close(within, closing).map(drop),
        })
    }

    /// What tests look into.
    #[cfg(test)]
    pub(crate) const fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    pub(crate) fn write<T>(
        &mut self,
        flush: Flush,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.file.must_be_at(&self.path)?;
        let done = if flush == Flush::Now {
            in_transaction(&mut self.connection, change)
        } else {
            self.set_flush(flush)?;
            let done = in_transaction(&mut self.connection, change);
            self.set_flush(Flush::Now)?;
            done
        };
        // What went into a file that has lost its place meanwhile is not acknowledged.
        self.file.must_be_at(&self.path)?;
        done
    }

    /// The file that is open.
    pub(crate) const fn file(&self) -> FileId {
        self.file
    }

    /// Gives up a database that has lost its place; the file, wherever it is now, is left whole.
    pub(crate) fn give_up(self) {
        open::complete(&self.connection);
    }

    /// Has the log flushed at each commit from now on, or not.
    fn set_flush(&self, flush: Flush) -> Result<(), Failure> {
        Ok(self.connection.pragma_update(None, "synchronous", flush.synchronous())?)
    }

    pub(crate) fn shorten_log(&self, from: u64) {
        open::shorten_log(&self.connection, &self.path, self.patience, from);
    }

    /// Reads several things as they are at one moment.
    fn read<T>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, Failure>,
    ) -> Result<T, LedgerError> {
        Ok(read::at_one_moment(&self.connection, question)?)
    }
}

fn in_transaction<T>(
    connection: &mut Connection,
    change: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done = change(&transaction)?;
    transaction.commit()?;
    Ok(done)
}

impl RunQueue for Store {
    fn load(&self) -> Result<Queue, LedgerError> {
        self.read(queue::load)
    }

    fn submit(
        &mut self,
        submissions: &[Submission],
        at: Timestamp,
    ) -> Result<Vec<QueuedRun>, LedgerError> {
        let flush = Flush::of_submissions(submissions);
        let taken = self.write(flush, |within| queue::submit(within, submissions, at))?;
        self.shorten_log(open::OVERLONG_LOG);
        Ok(taken)
    }

    fn change(&mut self, changes: &[Change], at: Timestamp) -> Result<Vec<Outcome>, LedgerError> {
        let outcomes = self.write(Flush::of_changes(changes), |within| {
            changes.iter().map(|change| queue::change(within, change, at)).collect()
        })?;
        self.shorten_log(open::OVERLONG_LOG);
        Ok(outcomes)
    }

    fn run_state(&self, run: &RunRef) -> Result<Option<RunState>, LedgerError> {
        Ok(queue::run_state(&self.connection, run)?)
    }

    fn events(&self, after: u64, at_most: usize) -> Result<Vec<Event>, LedgerError> {
        Ok(queue::events(&self.connection, after, at_most)?)
    }
}

impl Ledger for Store {
    fn open(&mut self, opening: &Opening) -> Result<Opened, LedgerError> {
        Ok(self.write(Flush::Now, |within| write::open(within, opening))?)
    }

    fn close(&mut self, closing: &Closing) -> Result<Outcome, LedgerError> {
        let outcome = self.write(Flush::Now, |within| write::close(within, closing))?;
        // Here and not at the beginning, where a start waits for it.
        self.shorten_log(open::LONG_LOG);
        Ok(outcome)
    }

    fn attempts(&self, query: &AttemptQuery) -> Result<Vec<Attempt>, LedgerError> {
        Ok(read::attempts(&self.connection, query)?)
    }

    fn tally(&self, experiment: &ExperimentId) -> Result<Tally, LedgerError> {
        self.read(|connection| read::tally(connection, experiment))
    }

    fn tallies(&self) -> Result<BTreeMap<ExperimentId, Tally>, LedgerError> {
        self.read(read::tallies)
    }

    fn mark_clean_shutdown(&mut self, boot: BootId, at: Timestamp) -> Result<Outcome, LedgerError> {
        Ok(self.write(Flush::Now, |within| write::mark_clean_shutdown(within, boot, at))?)
    }

    fn ended_cleanly(&self, boot: BootId) -> Result<bool, LedgerError> {
        Ok(read::ended_cleanly(&self.connection, boot)?)
    }
}
