//! The ledger that works while the database does not.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bij_core::port::{
    AttemptQuery, Change, Closing, Ledger, LedgerError, Opened, Opening, RunQueue,
};
use bij_core::queue::{Event, Queue, QueuedRun, RunRef, Submission};
use bij_core::{Attempt, BootId, ExperimentId, Layout, Outcome, RunState, Tally, Timestamp};

use crate::database_error::DatabaseError;
use crate::database_file::FileId;
use crate::ledger_notice::LedgerNotice;
use crate::open::BUSY_TIMEOUT;
use crate::spool::{self, Spool, SpoolContents, SpoolRecord};
use crate::{Reader, Store};

/// The database, with a spool for records that it refuses.
///
/// A record that the database refuses, for whatever reason, is set aside in the spool and reported by a
/// [`LedgerNotice`]. The next write to a working database first applies the spool in order, so no record
/// overtakes another one of the same experiment. Reads show the database with the spool on top: they
/// return the same before and after the spool is applied.
///
/// A start never fails because of the ledger: [`Ledger::open`] returns the number of the attempt from the
/// best that is known.
pub struct RobustLedger {
    database: PathBuf,
    busy_timeout: Duration,
    store: Option<Store>,
    /// Database that [`RunQueue::load`] has read.
    loaded: Mutex<LoadedDatabase>,
    spool: Spool,
    reader: Reader,
    notify: Box<dyn FnMut(&LedgerNotice<'_>) + Send>,
}

/// The database that the caller's copy of the queue was loaded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LoadedDatabase {
    /// The queue was never loaded, as in hooks: each call uses the file that it finds.
    Never,
    /// There was no database.
    Missing,
    /// The database in this file.
    File(FileId),
}

impl RobustLedger {
    /// Uses the database and the spool directory at these paths; both are created when needed.
    pub fn new(database: impl AsRef<Path>, spool: impl AsRef<Path>) -> Self {
        Self {
            reader: Reader::new(&database).with_spool(&spool),
            database: database.as_ref().to_owned(),
            busy_timeout: BUSY_TIMEOUT,
            store: None,
            loaded: Mutex::new(LoadedDatabase::Never),
            spool: Spool::new(spool.as_ref().to_owned()),
            notify: Box::new(|_| {}),
        }
    }

    /// Uses the database and the spool of an installation.
    pub fn at(layout: &Layout) -> Self {
        Self::new(layout.database(), layout.spool())
    }

    /// Calls `notify` for every event that belongs in the journal.
    #[must_use]
    pub fn with_notices(mut self, notify: impl FnMut(&LedgerNotice<'_>) + Send + 'static) -> Self {
        self.notify = Box::new(notify);
        self
    }

    /// Sets how long a call waits for another writer; five seconds by default.
    #[must_use]
    pub const fn with_busy_timeout(mut self, busy_timeout: Duration) -> Self {
        self.busy_timeout = busy_timeout;
        self
    }

    /// Applies the records of the spool to the database and returns their number.
    ///
    /// Every write does this first; call it where nothing is written.
    ///
    /// # Errors
    /// [`LedgerError`] if a record could not be applied; it and those after it stay in the spool.
    pub fn apply_spool(&mut self) -> Result<usize, LedgerError> {
        let applied = self.try_apply_spool();
        if applied.is_err() {
            self.store = None;
        }
        applied
    }

    fn try_apply_spool(&mut self) -> Result<usize, LedgerError> {
        // An unreadable spool is reported, and does not stop the write that follows.
        let SpoolContents { records, damaged, unreadable, .. } =
            self.spool.contents().unwrap_or_else(|why| SpoolContents {
                unreadable: vec![why],
                ..SpoolContents::default()
            });
        for why in unreadable {
            (self.notify)(&LedgerNotice::Unreadable { why: &why });
        }
        for (file, why) in damaged {
            self.discard(&file, &why);
        }
        let mut applied = 0;
        for entry in records {
            match self.store()?.apply(&entry.record) {
                Ok(()) => applied += 1,
                // It must not block the records after it for ever.
                Err(why) if why.is_permanent_for_record() => {
                    self.discard(&entry.file, &why);
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            if let Err(why) = spool::remove(&entry.file) {
                // The next write applies it again, which changes nothing.
                (self.notify)(&LedgerNotice::Unreadable { why: &why });
            }
        }
        if applied > 0 {
            (self.notify)(&LedgerNotice::Applied { records: applied });
        }
        Ok(applied)
    }

    /// Moves a file of the spool aside that can never be applied.
    fn discard(&mut self, file: &Path, why: &(dyn Error + 'static)) {
        match spool::move_aside(file) {
            Ok(file) => (self.notify)(&LedgerNotice::Damaged { file, why }),
            Err(why) => (self.notify)(&LedgerNotice::Unreadable { why: &why }),
        }
    }

    fn store(&mut self) -> Result<&mut Store, LedgerError> {
        self.ensure_loaded_file()?;
        let store = match self.store.take() {
            Some(store) if store.file() == FileId::read(&self.database) => store,
            stale => {
                stale.into_iter().for_each(Store::abandon);
                Store::open_with_timeout(&self.database, self.busy_timeout)?
            }
        };
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let (LoadedDatabase::Missing, Some(file)) = (*loaded, store.file()) {
            *loaded = LoadedDatabase::File(file);
        }
        drop(loaded);
        Ok(self.store.insert(store))
    }

    /// Returns an error if the database is not the one whose queue was loaded.
    pub(super) fn ensure_loaded_file(&self) -> Result<(), LedgerError> {
        let loaded = *self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        match loaded {
            LoadedDatabase::Never => Ok(()),
            LoadedDatabase::File(file) => Ok(file.ensure_at(&self.database)?),
            // The first write creates it, in this process or in another one.
            LoadedDatabase::Missing => match FileId::read(&self.database) {
                None => Ok(()),
                Some(_) => Err(DatabaseError::Another { path: self.database.clone() }.into()),
            },
        }
    }

    fn write<T>(
        &mut self,
        change: impl FnOnce(&mut Store) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let written = self.try_apply_spool().and_then(|_| change(self.store()?));
        if let Err(error) = &written {
            // The next write opens the database again.
            let store = self.store.take();
            if matches!(error, LedgerError::Replaced(_)) {
                store.into_iter().for_each(Store::abandon);
            }
        }
        written
    }

    /// Puts a record into the spool that the database refused.
    fn set_aside(
        &mut self,
        record: &SpoolRecord,
        why: LedgerError,
    ) -> Result<Outcome, LedgerError> {
        self.check_owner(record)?;
        let text = record.to_json(0);
        match self.spool.put(record) {
            Ok(Some(file)) => {
                (self.notify)(&LedgerNotice::Spooled { record: &text, file: &file, why: &why });
                Ok(Outcome::Changed)
            }
            Ok(None) => Ok(Outcome::Unchanged),
            Err(spool) => {
                (self.notify)(&LedgerNotice::Lost { record: &text, why: &why, spool: &spool });
                Err(why)
            }
        }
    }

    /// Returns [`LedgerError::Claimed`] if the attempt belongs to another experiment.
    fn check_owner(&self, record: &SpoolRecord) -> Result<(), LedgerError> {
        let known = match self.reader.attempt(record.key()) {
            Ok(known) => known.map(|attempt| attempt.run.experiment),
            // An unreadable database must not refuse a record.
            Err(_) => None,
        };
        match known {
            Some(owner) if owner != *record.experiment() => Err(LedgerError::Claimed { owner }),
            _ => Ok(()),
        }
    }
}

impl Ledger for RobustLedger {
    /// Fails with [`LedgerError::Claimed`], or if neither the database nor the spool took the record: then
    /// there is a [`LedgerNotice::Lost`].
    fn open(&mut self, opening: &Opening) -> Result<Opened, LedgerError> {
        match self.write(|store| store.open(opening)) {
            Ok(opened) => Ok(opened),
            Err(why @ LedgerError::Claimed { .. }) => Err(why),
            Err(why) => {
                let opened = self.reader.preview_opening(opening);
                self.set_aside(&SpoolRecord::Open(opening.clone()), why).map(|_| opened)
            }
        }
    }

    fn close(&mut self, closing: &Closing) -> Result<Outcome, LedgerError> {
        match self.write(|store| store.close(closing)) {
            Ok(outcome) => Ok(outcome),
            Err(why @ LedgerError::Claimed { .. }) => Err(why),
            Err(why) => self.set_aside(&SpoolRecord::Close(Box::new(closing.clone())), why),
        }
    }

    fn attempts(&self, query: &AttemptQuery) -> Result<Vec<Attempt>, LedgerError> {
        self.reader.attempts(query)
    }

    fn tally(&self, experiment: &ExperimentId) -> Result<Tally, LedgerError> {
        self.reader.tally(experiment)
    }

    fn tallies(&self) -> Result<BTreeMap<ExperimentId, Tally>, LedgerError> {
        self.reader.tallies()
    }

    /// Fails if the database refuses the mark: the spool would be lost at the reboot.
    fn mark_clean_shutdown(&mut self, boot: BootId, at: Timestamp) -> Result<Outcome, LedgerError> {
        self.write(|store| store.mark_clean_shutdown(boot, at))
    }

    fn ended_cleanly(&self, boot: BootId) -> Result<bool, LedgerError> {
        self.reader.ended_cleanly(boot)
    }
}

impl fmt::Debug for RobustLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RobustLedger")
            .field("database", &self.database)
            .field("spool", &self.spool)
            .finish_non_exhaustive()
    }
}

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
