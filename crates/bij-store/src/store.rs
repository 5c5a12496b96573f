//! The ledger and the queue with write permission.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bij_core::port::{
    AttemptQuery, Change, Closing, Ledger, LedgerError, Opened, Opening, RunQueue,
};
use bij_core::queue::{Event, Origin, Queue, QueueState, QueuedRun, RunRef, Submission};
use bij_core::{Attempt, AttemptKey, BootId, ExperimentId, Outcome, RunState, Tally, Timestamp};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::database_error::DatabaseError;
use crate::database_file::{DatabaseFile, FileId};
use crate::spool::SpoolRecord;
use crate::{Reader, open, queue, read, write};

/// The ledger and the queue in their database, in a file or in memory.
///
/// Each write is one transaction that takes the write lock before it reads (`BEGIN IMMEDIATE`), so any
/// number of processes agree on the numbers of runs and attempts. A write is on the disk when it returns,
/// except for changes that a power cut makes void anyway ([`RunQueue`]).
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    location: StoreLocation,
    busy_timeout: Duration,
}

/// Where the database is.
#[derive(Clone, Debug)]
enum StoreLocation {
    /// In a file. Writes count only while the open file is at its path.
    File { path: PathBuf, file: FileId },
    /// In the memory of this process, by the name that its connections share.
    Memory { name: String },
}

impl StoreLocation {
    /// Returns an error if the open file is no longer at its path.
    fn ensure_current(&self) -> Result<(), DatabaseError> {
        match self {
            Self::File { path, file } => file.ensure_at(path),
            Self::Memory { .. } => Ok(()),
        }
    }
}

impl Store {
    /// Opens the database for writing; creates it and its directory if they are missing.
    ///
    /// A call waits up to five seconds for another writer.
    ///
    /// # Errors
    /// [`LedgerError`], above all if the database is not writable, damaged, or from a newer bij.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, LedgerError> {
        Self::open_with_timeout(path, open::BUSY_TIMEOUT)
    }

    /// As [`Store::open`], with another time to wait for another writer.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with_timeout(
        path: impl AsRef<Path>,
        busy_timeout: Duration,
    ) -> Result<Self, LedgerError> {
        let opened = open::for_writing(path.as_ref(), busy_timeout)?;
        Ok(Self::in_file(path.as_ref(), opened, busy_timeout))
    }

    /// As [`Store::open_with_timeout`], but fails if there is no database: a database that was moved aside
    /// must not be replaced by an empty one.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_existing(
        path: impl AsRef<Path>,
        busy_timeout: Duration,
    ) -> Result<Self, LedgerError> {
        let opened = open::existing_for_writing(path.as_ref(), busy_timeout)?;
        Ok(Self::in_file(path.as_ref(), opened, busy_timeout))
    }

    /// Creates an empty ledger and queue in memory, by the same rules as in a file. They are gone with the last store
    /// that is [connected](Self::connect) to them.
    ///
    /// # Errors
    /// [`LedgerError`] if there is not enough memory, or SQLite is too old.
    pub fn in_memory() -> Result<Self, LedgerError> {
        static CREATED: AtomicU64 = AtomicU64::new(0);
        let name = format!("bij-store-{}", CREATED.fetch_add(1, Ordering::Relaxed));
        let connection = open::in_memory(&name, open::BUSY_TIMEOUT)?;
        let location = StoreLocation::Memory { name };
        Ok(Self { connection, location, busy_timeout: open::BUSY_TIMEOUT })
    }

    /// Opens another connection to the same database, for another thread. A store can be sent to a thread, but not
    /// be shared by threads.
    ///
    /// # Errors
    /// As [`Store::open_existing`].
    pub fn connect(&self) -> Result<Self, LedgerError> {
        match &self.location {
            StoreLocation::File { path, .. } => Self::open_existing(path, self.busy_timeout),
            StoreLocation::Memory { name } => Ok(Self {
                connection: open::in_memory(name, self.busy_timeout)?,
                location: self.location.clone(),
                busy_timeout: self.busy_timeout,
            }),
        }
    }

    /// Returns a reader of the same database, without a spool. It can be shared by threads.
    pub fn reader(&self) -> Reader {
        Reader::without_spool(match &self.location {
            StoreLocation::File { path, .. } => DatabaseFile::new(path.clone()),
            StoreLocation::Memory { name } => DatabaseFile::in_memory(name.clone()),
        })
    }

    fn in_file(path: &Path, opened: (Connection, FileId), busy_timeout: Duration) -> Self {
        let (connection, file) = opened;
        let location = StoreLocation::File { path: path.to_owned(), file };
        Self { connection, location, busy_timeout }
    }

    /// Returns the attempt with this key.
    ///
    /// # Errors
    /// [`LedgerError`] if it could not be read.
    pub fn attempt(&self, key: AttemptKey) -> Result<Option<Attempt>, LedgerError> {
        Ok(read::attempt(&self.connection, key)?.map(|(_, attempt)| attempt))
    }

    /// Applies a spooled record; one that the database has already changes nothing.
    pub(crate) fn apply(&mut self, record: &SpoolRecord) -> Result<(), DatabaseError> {
        self.write(Flush::Now, |transaction| match record {
            SpoolRecord::Open(opening) => write::open(transaction, opening).map(drop),
            SpoolRecord::Close(closing) => write::close(transaction, closing).map(drop),
        })
    }

    pub(crate) const fn connection(&self) -> &Connection {
        &self.connection
    }

    #[cfg(test)]
    pub(crate) const fn connection_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Makes a change in one transaction, which is undone if `change` fails.
    pub(crate) fn write<T, E: From<DatabaseError>>(
        &mut self,
        flush: Flush,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.location.ensure_current()?;
        let result = if flush == Flush::Now {
            in_transaction(&mut self.connection, change)
        } else {
            self.set_flush(flush)?;
            let result = in_transaction(&mut self.connection, change);
            self.set_flush(Flush::Now)?;
            result
        };
        // A write to a file that was moved in the meantime is not acknowledged.
        self.location.ensure_current()?;
        result
    }

    /// Returns the identity of the open file; `None` if the database is in memory.
    pub(crate) const fn file(&self) -> Option<FileId> {
        match &self.location {
            StoreLocation::File { file, .. } => Some(*file),
            StoreLocation::Memory { .. } => None,
        }
    }

    /// Closes a database whose file is no longer at its path, and leaves that file complete without its log.
    pub(crate) fn abandon(self) {
        open::checkpoint_wal(&self.connection);
    }

    /// Sets whether each commit from now on flushes the log.
    fn set_flush(&self, flush: Flush) -> Result<(), DatabaseError> {
        Ok(self.connection.pragma_update(None, "synchronous", flush.synchronous())?)
    }

    pub(crate) fn truncate_wal(&self, min_length: u64) {
        if let StoreLocation::File { path, .. } = &self.location {
            open::truncate_wal(&self.connection, path, self.busy_timeout, min_length);
        }
    }

    /// Runs several queries on one snapshot.
    pub(crate) fn read<T>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, DatabaseError>,
    ) -> Result<T, LedgerError> {
        Ok(read::in_snapshot(&self.connection, query)?)
    }
}

fn in_transaction<T, E: From<DatabaseError>>(
    connection: &mut Connection,
    change: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let immediate = TransactionBehavior::Immediate;
    let transaction =
        connection.transaction_with_behavior(immediate).map_err(DatabaseError::from)?;
    let result = change(&transaction)?;
    transaction.commit().map_err(DatabaseError::from)?;
    Ok(result)
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
        let flush = Flush::for_submissions(submissions);
        let queued =
            self.write(flush, |transaction| queue::submit(transaction, submissions, at))?;
        self.truncate_wal(open::WAL_TRUNCATE_BYTES_ON_SUBMIT);
        Ok(queued)
    }

    fn change(&mut self, changes: &[Change], at: Timestamp) -> Result<Vec<Outcome>, LedgerError> {
        let outcomes = self.write(Flush::for_changes(changes), |transaction| {
            changes.iter().map(|change| queue::change(transaction, change, at)).collect()
        })?;
        self.truncate_wal(open::WAL_TRUNCATE_BYTES_ON_SUBMIT);
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
        Ok(self.write(Flush::Now, |transaction| write::open(transaction, opening))?)
    }

    fn close(&mut self, closing: &Closing) -> Result<Outcome, LedgerError> {
        let outcome = self.write(Flush::Now, |transaction| write::close(transaction, closing))?;
        // Not when an attempt is opened: the start would wait for it.
        self.truncate_wal(open::WAL_TRUNCATE_BYTES);
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
        Ok(self
            .write(Flush::Now, |transaction| write::mark_clean_shutdown(transaction, boot, at))?)
    }

    fn ended_cleanly(&self, boot: BootId) -> Result<bool, LedgerError> {
        Ok(read::ended_cleanly(&self.connection, boot)?)
    }
}

/// When a commit reaches the disk. A flush of the log includes all earlier commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flush {
    /// Before the call returns.
    Now,
    /// With the next flushed commit, or when the kernel writes the file back. A kill loses nothing.
    Later,
}

impl Flush {
    /// Returns [`Flush::Later`] if all runs come from starts outside of the queue: the write that follows,
    /// of the attempt or of the refusal, is flushed.
    pub(crate) fn for_submissions(submissions: &[Submission]) -> Self {
        Self::later_if(submissions.iter().all(|run| run.origin == Origin::Start))
    }

    /// Returns [`Flush::Later`] if all changes let runs start: after a power cut, the next boot puts such
    /// runs back to waiting, where they also are without the change.
    pub(crate) fn for_changes(changes: &[Change]) -> Self {
        let is_start = |change: &Change| {
            matches!(change, Change::State { state: QueueState::Starting { .. }, .. })
        };
        Self::later_if(changes.iter().all(is_start))
    }

    /// The value of `PRAGMA synchronous` (<https://www.sqlite.org/pragma.html#pragma_synchronous>).
    pub(crate) const fn synchronous(self) -> &'static str {
        match self {
            Self::Now => "FULL",
            Self::Later => "NORMAL",
        }
    }

    const fn later_if(condition: bool) -> Self {
        if condition { Self::Later } else { Self::Now }
    }
}

#[cfg(test)]
mod tests {
    use bij_core::port::RunQueue as _;
    use bij_core::queue::QueuedRun;
    use bij_sim::contract::{ledger_fixture as fixture, run_queue_fixture as queue};

    use super::*;

    fn started() -> Submission {
        Submission { origin: Origin::Start, ..queue::submission("x") }
    }

    fn starting(run: &QueuedRun) -> Change {
        let state = QueueState::Starting { boot: fixture::boot(1) };
        Change::State { run: run.run.clone(), from: None, state, why: String::new() }
    }

    #[test]
    fn submissions_and_requested_changes_are_flushed() {
        assert_eq!(Flush::for_submissions(&[queue::submission("x")]), Flush::Now);
        assert_eq!(Flush::for_submissions(&[started(), queue::submission("x")]), Flush::Now);
        let pause = Change::Pause { pause: None, by: String::new() };
        assert_eq!(Flush::for_changes(&[pause]), Flush::Now);
    }

    #[test]
    fn the_write_after_an_admitted_start_is_flushed_again() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = Store::open(directory.path().join("state.db")).unwrap();
        let run = store.submit(&[started()], fixture::at(0)).unwrap().remove(0);
        let changes = [starting(&run)];
        assert_eq!(Flush::for_changes(&changes), Flush::Later);
        store.change(&changes, fixture::at(1)).unwrap();
        let level = |store: &mut Store| -> i64 {
            let pragma = "PRAGMA synchronous";
            store.connection().query_row(pragma, [], |row| row.get(0)).unwrap()
        };
        assert_eq!(level(&mut store), 2, "FULL");
        let unknown_run = Change::State {
            run: "y#1".parse().unwrap(),
            from: None,
            state: QueueState::Starting { boot: fixture::boot(1) },
            why: String::new(),
        };
        store.change(&[unknown_run], fixture::at(2)).unwrap();
        assert_eq!(level(&mut store), 2, "also where nothing was changed");
    }
}
