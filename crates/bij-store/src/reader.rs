//! The ledger for callers without write permission.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bij_core::port::{
    AttemptQuery, AttemptScan, Change, Closing, Ledger, LedgerError, Opened, Opening, RunQueue,
};
use bij_core::queue::{Event, Queue, QueuedRun, RunRef, Submission};
use bij_core::{
    Attempt, AttemptKey, BootId, ExperimentId, History, Layout, Outcome, RunState, Tally, Timestamp,
};

use self::histories::Histories;
use self::set_aside::SetAside;
use crate::database_error::DatabaseError;
use crate::database_file::DatabaseFile;
use crate::spool::{Spool, SpoolContents};
use crate::{queue, read};

mod histories;
mod set_aside;

/// Reads the ledger and the queue without write permission. A missing database is an empty history.
///
/// Reads show the database with the spool on top, so they return the same before and after the spool is
/// applied. Every read opens both anew and keeps no lock: other processes can write, replace or remove
/// them between two reads.
#[derive(Clone, Debug)]
pub struct Reader {
    pub(crate) database: DatabaseFile,
    spool: Option<Spool>,
}

impl Reader {
    /// Reads the database at `path`, without a spool.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self::without_spool(DatabaseFile::new(path.as_ref().to_owned()))
    }

    /// Reads a database without a spool.
    pub(crate) const fn without_spool(database: DatabaseFile) -> Self {
        Self { database, spool: None }
    }

    /// Reads the database and the spool of an installation.
    pub fn at(layout: &Layout) -> Self {
        Self::new(layout.database()).with_spool(layout.spool())
    }

    /// Also reads the spool in this directory.
    #[must_use]
    pub fn with_spool(mut self, directory: impl AsRef<Path>) -> Self {
        self.spool = Some(Spool::new(directory.as_ref().to_owned()));
        self
    }

    /// Returns the attempt with this key.
    ///
    /// # Errors
    /// [`LedgerError`] if it could not be read.
    pub fn attempt(&self, key: AttemptKey) -> Result<Option<Attempt>, LedgerError> {
        let contents = self.spool_contents();
        let Some(entry) = contents.records.iter().find(|entry| entry.record.key() == key) else {
            let stored = self.database.query(|connection| read::attempt(connection, key))?;
            return Ok(stored.map(|(_, attempt)| attempt));
        };
        let experiment = entry.record.experiment();
        let histories = self.newest_histories(&[experiment].into(), &contents)?;
        Ok(histories.get(experiment).attempt(key).cloned())
    }

    /// Checks the whole database file (<https://www.sqlite.org/pragma.html#pragma_quick_check>), and returns the first
    /// faults; none is a sound file. It reads every page.
    ///
    /// # Errors
    /// [`LedgerError`] if it could not be read.
    pub fn faults(&self) -> Result<Vec<String>, LedgerError> {
        self.database.query(|connection| {
            let mut statement = connection.prepare("PRAGMA quick_check(5)")?;
            let faults: Result<Vec<String>, _> =
                statement.query_map([], |row| row.get(0))?.collect();
            Ok(faults?.into_iter().filter(|text| text != "ok").collect())
        })
    }

    /// Reads the next piece of a scan, `at_most` attempts; an empty one is the end.
    ///
    /// Attempts that are opened meanwhile come in a later piece, and the same piece is the same before
    /// and after the database takes in what is set aside.
    ///
    /// # Errors
    /// [`LedgerError::Lost`] if the attempt after which the piece begins has been removed, else
    /// [`LedgerError`] if it could not be read.
    pub fn attempts_after(
        &self,
        scan: &AttemptScan,
        at_most: usize,
    ) -> Result<Vec<Attempt>, LedgerError> {
        let contents = self.spool_contents();
        let piece = self.database.query_even_if_missing(|connection| {
            SetAside::read(connection, &contents, scan.experiment.as_ref())?
                .piece(connection, scan, at_most)
        })?;
        piece.map_err(|key| LedgerError::Lost { key })
    }

    /// Adds up the histories of the first experiments behind one, or of all, in the order of their ids.
    ///
    /// # Errors
    /// [`LedgerError`] if they could not be read.
    pub fn tallies_after(
        &self,
        after: Option<&ExperimentId>,
        at_most: usize,
    ) -> Result<BTreeMap<ExperimentId, Tally>, LedgerError> {
        let contents = self.spool_contents();
        let tallies =
            self.database.query(|connection| read::tallies_after(connection, after, at_most))?;
        let is_later = |id: &&ExperimentId| after.is_none_or(|after| after < *id);
        let spooled = contents.experiments().filter(is_later).collect();
        let mut tallies = self.with_set_aside(tallies, &spooled, &contents)?;
        if let Some(next) = tallies.keys().nth(at_most).cloned() {
            tallies.split_off(&next);
        }
        Ok(tallies)
    }

    /// Replaces the tallies of experiments that have records in the spool.
    fn with_set_aside(
        &self,
        mut tallies: BTreeMap<ExperimentId, Tally>,
        experiments: &BTreeSet<&ExperimentId>,
        contents: &SpoolContents,
    ) -> Result<BTreeMap<ExperimentId, Tally>, LedgerError> {
        if !experiments.is_empty() {
            let histories = self.newest_histories(experiments, contents)?;
            let newest = histories.by_experiment.iter();
            tallies.extend(newest.map(|(id, history)| (id.clone(), history.tally())));
        }
        Ok(tallies)
    }

    /// Returns what opening an attempt now would return, from the best that is known.
    pub(crate) fn preview_opening(&self, opening: &Opening) -> Opened {
        let contents = self.spool_contents();
        let experiments = BTreeSet::from([&opening.experiment]);
        let histories = self.database.query_even_if_missing(|connection| {
            Histories::read(connection, &experiments, &contents)
        });
        let mut histories =
            histories.unwrap_or_else(|_| Histories::from_spool(&experiments, &contents));
        histories.open(opening)
    }

    /// Reads the spool; an unreadable one counts as empty, so that the database can still be read.
    fn spool_contents(&self) -> SpoolContents {
        self.spool.as_ref().and_then(|spool| spool.contents().ok()).unwrap_or_default()
    }

    /// Reads experiments' histories as they will be once the spool is applied.
    fn newest_histories(
        &self,
        experiments: &BTreeSet<&ExperimentId>,
        contents: &SpoolContents,
    ) -> Result<Histories, LedgerError> {
        self.database.query_even_if_missing(|connection| {
            Histories::read_newest(connection, experiments, contents)
        })
    }
}

impl Ledger for Reader {
    /// Returns [`LedgerError::Denied`]: a reader cannot write.
    fn open(&mut self, _: &Opening) -> Result<Opened, LedgerError> {
        Err(DatabaseError::ReadOnly.into())
    }

    /// Returns [`LedgerError::Denied`]: a reader cannot write.
    fn close(&mut self, _: &Closing) -> Result<Outcome, LedgerError> {
        Err(DatabaseError::ReadOnly.into())
    }

    fn attempts(&self, query: &AttemptQuery) -> Result<Vec<Attempt>, LedgerError> {
        let contents = self.spool_contents();
        self.database.query_even_if_missing(|connection| {
            SetAside::read(connection, &contents, query.experiment.as_ref())?
                .attempts(connection, query)
        })
    }

    fn tally(&self, experiment: &ExperimentId) -> Result<Tally, LedgerError> {
        let contents = self.spool_contents();
        if contents.experiments().any(|spooled| spooled == experiment) {
            let histories = self.newest_histories(&[experiment].into(), &contents)?;
            return Ok(histories.get(experiment).tally());
        }
        self.database.query(|connection| read::tally(connection, experiment))
    }

    fn tallies(&self) -> Result<BTreeMap<ExperimentId, Tally>, LedgerError> {
        let contents = self.spool_contents();
        let tallies = self.database.query(read::tallies)?;
        self.with_set_aside(tallies, &contents.experiments().collect(), &contents)
    }

    /// Returns [`LedgerError::Denied`]: a reader cannot write.
    fn mark_clean_shutdown(&mut self, _: BootId, _: Timestamp) -> Result<Outcome, LedgerError> {
        Err(DatabaseError::ReadOnly.into())
    }

    fn ended_cleanly(&self, boot: BootId) -> Result<bool, LedgerError> {
        self.database.query(|connection| read::ended_cleanly(connection, boot))
    }
}

impl RunQueue for Reader {
    fn load(&self) -> Result<Queue, LedgerError> {
        let contents = self.spool_contents();
        let mut queue = self.database.query(queue::load)?;
        if !contents.records.is_empty() {
            let histories = self.newest_histories(&contents.experiments().collect(), &contents)?;
            queue
                .runs
                .retain(|queued| !histories.by_experiment.contains_key(&queued.run.experiment));
            queue.runs.extend(histories.by_experiment.values().flat_map(History::queued).cloned());
        }
        Ok(queue)
    }

    /// Returns [`LedgerError::Denied`]: a reader cannot write.
    fn submit(&mut self, _: &[Submission], _: Timestamp) -> Result<Vec<QueuedRun>, LedgerError> {
        Err(DatabaseError::ReadOnly.into())
    }

    /// Returns [`LedgerError::Denied`]: a reader cannot write.
    fn change(&mut self, _: &[Change], _: Timestamp) -> Result<Vec<Outcome>, LedgerError> {
        Err(DatabaseError::ReadOnly.into())
    }

    fn run_state(&self, run: &RunRef) -> Result<Option<RunState>, LedgerError> {
        let contents = self.spool_contents();
        if contents.experiments().any(|spooled| spooled == run.experiment()) {
            let histories = self.newest_histories(&[run.experiment()].into(), &contents)?;
            let history = histories.get(run.experiment());
            let number = match run {
                RunRef::Newest(_) => history.highest(),
                RunRef::Run(run) => Some(run.number),
            };
            return Ok(number.and_then(|number| history.run_state(number)));
        }
        self.database.query(|connection| queue::run_state(connection, run))
    }

    /// Spooled records have no events yet: the database numbers them when the spool is applied.
    fn events(&self, after: u64, at_most: usize) -> Result<Vec<Event>, LedgerError> {
        self.database.query(|connection| queue::events(connection, after, at_most))
    }
}
