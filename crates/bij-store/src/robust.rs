//! The ledger that no fault of the database keeps from working.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bij_core::port::{AttemptQuery, Closing, Ledger, LedgerError, Opened, Opening};
use bij_core::{Attempt, BootId, ExperimentId, Layout, Outcome, Tally, Timestamp};

use crate::failure::Failure;
use crate::file_id::FileId;
use crate::notice::Notice;
use crate::open::PATIENCE;
use crate::spool::{self, Contents, Record, Spool};
use crate::{Reader, Store};

mod queue;

/// The database, and the spool for what it cannot take.
///
/// A record that the database does not take, for whatever reason, is set aside in the spool, and a
/// [`Notice`] tells so. The next write that finds the database well takes in what was set aside, in
/// order, before anything else; nothing overtakes a record of the same experiment. What is read is
/// the database with what is set aside on top, so an answer is the same before and after.
///
/// A start never fails for the ledger's sake: [`Ledger::open`] always tells an attempt its place,
/// from the best that is known.
pub struct RobustLedger {
    database: PathBuf,
    patience: Duration,
    store: Option<Store>,
    /// What [`RunQueue::load`](bij_core::port::RunQueue::load) has read.
    loaded: Mutex<Loaded>,
    spool: Spool,
    reader: Reader,
    notify: Box<dyn FnMut(&Notice<'_>) + Send>,
}

/// What was loaded of a queue, and so what its copy in memory is a copy of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loaded {
    /// Nothing was: each call looks at what is there, as hooks do.
    Never,
    /// There was no database.
    Nothing,
    /// This one.
    File(FileId),
}

impl RobustLedger {
    /// Works on the database and the spool directory at these paths; both are made when needed.
    pub fn new(database: PathBuf, spool: PathBuf) -> Self {
        Self {
            reader: Reader::new(database.clone()).with_spool(spool.clone()),
            database,
            patience: PATIENCE,
            store: None,
            loaded: Mutex::new(Loaded::Never),
            spool: Spool::new(spool),
            notify: Box::new(|_| {}),
        }
    }

    /// Works where an installation has its ledger.
    pub fn at(layout: &Layout) -> Self {
        Self::new(layout.database(), layout.spool())
    }

    /// Tells `notify` what the journal should tell.
    #[must_use]
    pub fn with_notices(mut self, notify: impl FnMut(&Notice<'_>) + Send + 'static) -> Self {
        self.notify = Box::new(notify);
        self
    }

    /// Waits so long, instead of five seconds, while somebody else writes.
    #[must_use]
    pub const fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Has the database take in what was set aside, and says how many records that were.
    ///
    /// Every write does so by itself; this is for who writes nothing.
    ///
    /// # Errors
    /// [`LedgerError`] if some could not be taken in; they stay in the spool.
    pub fn take_in(&mut self) -> Result<usize, LedgerError> {
        let taken = self.try_to_take_in();
        if taken.is_err() {
            self.store = None;
        }
        taken
    }

    fn try_to_take_in(&mut self) -> Result<usize, LedgerError> {
        // Trouble with the spool is told, and keeps nothing from the database.
        let Contents { records, damaged, unreadable, .. } = self
            .spool
            .contents()
            .unwrap_or_else(|why| Contents { unreadable: vec![why], ..Contents::default() });
        for why in unreadable {
            (self.notify)(&Notice::Unreadable { why: &why });
        }
        for (file, why) in damaged {
            self.refuse(&file, &why);
        }
        let mut taken = 0;
        for kept in records {
            match self.store()?.apply(&kept.record) {
                Ok(()) => taken += 1,
                // It will be wrong for ever, and must not keep the others out.
                Err(why) if why.is_about_the_record() => {
                    self.refuse(&kept.file, &why);
                    continue;
                }
                Err(failure) => return Err(failure.into()),
            }
            if let Err(why) = spool::remove(&kept.file) {
                // It is taken in again by the next write, which changes nothing.
                (self.notify)(&Notice::Unreadable { why: &why });
            }
        }
        if taken > 0 {
            (self.notify)(&Notice::TakenIn { records: taken });
        }
        Ok(taken)
    }

    fn refuse(&mut self, file: &Path, why: &(dyn Error + 'static)) {
        match spool::move_aside(file) {
            Ok(file) => (self.notify)(&Notice::Damaged { file, why }),
            Err(why) => (self.notify)(&Notice::Unreadable { why: &why }),
        }
    }

    fn store(&mut self) -> Result<&mut Store, LedgerError> {
        self.must_be_what_was_loaded()?;
        let store = match self.store.take() {
            Some(store) if Some(store.file()) == FileId::of(&self.database) => store,
            stale => {
                stale.into_iter().for_each(Store::give_up);
                Store::open_with_patience(&self.database, self.patience)?
            }
        };
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if *loaded == Loaded::Nothing {
            *loaded = Loaded::File(store.file());
        }
        drop(loaded);
        Ok(self.store.insert(store))
    }

    /// Refuses to go on with another database than the one whose queue was loaded.
    pub(super) fn must_be_what_was_loaded(&self) -> Result<(), LedgerError> {
        let loaded = *self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        match loaded {
            Loaded::Never => Ok(()),
            Loaded::File(file) => Ok(file.must_be_at(&self.database)?),
            // It is made by the first write, of this process or of another one.
            Loaded::Nothing => match FileId::of(&self.database) {
                None => Ok(()),
                Some(_) => Err(Failure::Another { path: self.database.clone() }.into()),
            },
        }
    }

    fn write<T>(
        &mut self,
        change: impl FnOnce(&mut Store) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let written = self.try_to_take_in().and_then(|_| change(self.store()?));
        if let Err(error) = &written {
            // The next write begins anew.
            let store = self.store.take();
            if matches!(error, LedgerError::Replaced(_)) {
                store.into_iter().for_each(Store::give_up);
            }
        }
        written
    }

    /// Keeps a record that the database did not take.
    fn set_aside(&mut self, record: &Record, why: LedgerError) -> Result<Outcome, LedgerError> {
        self.unclaimed(record)?;
        let text = record.to_json(0);
        match self.spool.put(record) {
            Ok(Some(file)) => {
                (self.notify)(&Notice::SetAside { record: &text, file: &file, why: &why });
                Ok(Outcome::Changed)
            }
            Ok(None) => Ok(Outcome::Unchanged),
            Err(spool) => {
                (self.notify)(&Notice::Lost { record: &text, why: &why, spool: &spool });
                Err(why)
            }
        }
    }

    /// Refuses a record of an attempt that is known as another experiment's.
    fn unclaimed(&self, record: &Record) -> Result<(), LedgerError> {
        let known = match self.reader.attempt(record.key()) {
            Ok(known) => known.map(|attempt| attempt.run.experiment),
            // A database that cannot be read refuses nothing.
            Err(_) => None,
        };
        match known {
            Some(owner) if owner != *record.experiment() => Err(LedgerError::Claimed { owner }),
            _ => Ok(()),
        }
    }
}

impl Ledger for RobustLedger {
    /// Fails for [`LedgerError::Claimed`], and for what neither the database nor the spool could take:
    /// [`Notice::Lost`] tells of that.
    fn open(&mut self, opening: &Opening) -> Result<Opened, LedgerError> {
        match self.write(|store| store.open(opening)) {
            Ok(opened) => Ok(opened),
            Err(why @ LedgerError::Claimed { .. }) => Err(why),
            Err(why) => {
                let opened = self.reader.place(opening);
                self.set_aside(&Record::Open(opening.clone()), why).map(|_| opened)
            }
        }
    }

    fn close(&mut self, closing: &Closing) -> Result<Outcome, LedgerError> {
        match self.write(|store| store.close(closing)) {
            Ok(outcome) => Ok(outcome),
            Err(why @ LedgerError::Claimed { .. }) => Err(why),
            Err(why) => self.set_aside(&Record::Close(Box::new(closing.clone())), why),
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

    /// Fails if the database cannot take it: the spool would be gone with this boot.
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
