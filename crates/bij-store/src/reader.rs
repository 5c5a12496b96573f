//! The ledger for those who may only look.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use bij_core::port::{AttemptQuery, AttemptScan, Closing, Ledger, LedgerError, Opened, Opening};
use bij_core::{Attempt, AttemptKey, BootId, ExperimentId, Layout, Outcome, Tally, Timestamp};

use self::histories::Histories;
use self::set_aside::SetAside;
use crate::database_file::DatabaseFile;
use crate::failure::Failure;
use crate::read;
use crate::spool::{Contents, Spool};

mod histories;
mod queue;
mod set_aside;

/// The ledger, read by somebody who need not have the right to write it, nor a database to read:
/// a missing one is an empty history.
///
/// What lies in the spool is read on top of the database, so an answer is the same before and after
/// the database takes it in. Both are looked at anew for every question, so a reader may live long;
/// between two questions it keeps nobody from writing, replacing or removing them.
#[derive(Clone, Debug)]
pub struct Reader {
    pub(crate) database: DatabaseFile,
    spool: Option<Spool>,
}

impl Reader {
    /// Reads the database at `path` alone.
    pub const fn new(path: PathBuf) -> Self {
        Self { database: DatabaseFile::new(path), spool: None }
    }

    /// Reads the ledger of an installation, with what is set aside.
    pub fn at(layout: &Layout) -> Self {
        Self::new(layout.database()).with_spool(layout.spool())
    }

    /// Reads what is set aside in this directory, too.
    #[must_use]
    pub fn with_spool(mut self, directory: PathBuf) -> Self {
        self.spool = Some(Spool::new(directory));
        self
    }

    /// The attempt with this key.
    ///
    /// # Errors
    /// [`LedgerError`] if it could not be read.
    pub fn attempt(&self, key: AttemptKey) -> Result<Option<Attempt>, LedgerError> {
        let contents = self.set_aside();
        let Some(kept) = contents.records.iter().find(|kept| kept.record.key() == key) else {
            let known = self.database.ask(|connection| read::attempt(connection, key))?;
            return Ok(known.map(|(_, attempt)| attempt));
        };
        let experiment = kept.record.experiment();
        let histories = self.newest_histories(&[experiment].into(), &contents)?;
        Ok(histories.of(experiment).attempt(key).cloned())
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
        let contents = self.set_aside();
        let piece = self.database.ask_even_if_missing(|connection| {
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
        let contents = self.set_aside();
        let tallies =
            self.database.ask(|connection| read::tallies_after(connection, after, at_most))?;
        let is_later = |id: &&ExperimentId| after.is_none_or(|after| after < *id);
        let told = contents.experiments().filter(is_later).collect();
        let mut tallies = self.with_set_aside(tallies, &told, &contents)?;
        if let Some(next) = tallies.keys().nth(at_most).cloned() {
            tallies.split_off(&next);
        }
        Ok(tallies)
    }

    /// Puts in the histories of experiments of which the spool tells.
    fn with_set_aside(
        &self,
        mut tallies: BTreeMap<ExperimentId, Tally>,
        experiments: &BTreeSet<&ExperimentId>,
        contents: &Contents,
    ) -> Result<BTreeMap<ExperimentId, Tally>, LedgerError> {
        if !experiments.is_empty() {
            let histories = self.newest_histories(experiments, contents)?;
            let told = histories.of_one.iter();
            tallies.extend(told.map(|(id, history)| (id.clone(), history.tally())));
        }
        Ok(tallies)
    }

    /// One attempt's place by the best that is known, if it were opened now.
    pub(crate) fn place(&self, opening: &Opening) -> Opened {
        let contents = self.set_aside();
        let experiments = BTreeSet::from([&opening.experiment]);
        let histories = self
            .database
            .ask_even_if_missing(|connection| Histories::read(connection, &experiments, &contents));
        let mut histories =
            histories.unwrap_or_else(|_| Histories::from_spool(&experiments, &contents));
        histories.open(opening)
    }

    /// What is set aside. A spool that cannot be read hides nothing that a database tells.
    fn set_aside(&self) -> Contents {
        self.spool.as_ref().and_then(|spool| spool.contents().ok()).unwrap_or_default()
    }

    /// Reads experiments' histories as they will be when the spool is taken in.
    fn newest_histories(
        &self,
        experiments: &BTreeSet<&ExperimentId>,
        contents: &Contents,
    ) -> Result<Histories, LedgerError> {
        self.database.ask_even_if_missing(|connection| {
            Histories::read_newest(connection, experiments, contents)
        })
    }
}

impl Ledger for Reader {
    /// Always [`LedgerError::Denied`].
    fn open(&mut self, _: &Opening) -> Result<Opened, LedgerError> {
        Err(Failure::ReadOnly.into())
    }

    /// Always [`LedgerError::Denied`].
    fn close(&mut self, _: &Closing) -> Result<Outcome, LedgerError> {
        Err(Failure::ReadOnly.into())
    }

    fn attempts(&self, query: &AttemptQuery) -> Result<Vec<Attempt>, LedgerError> {
        let contents = self.set_aside();
        self.database.ask_even_if_missing(|connection| {
            SetAside::read(connection, &contents, query.experiment.as_ref())?
                .attempts(connection, query)
        })
    }

    fn tally(&self, experiment: &ExperimentId) -> Result<Tally, LedgerError> {
        let contents = self.set_aside();
        if contents.experiments().any(|told| told == experiment) {
            let histories = self.newest_histories(&[experiment].into(), &contents)?;
            return Ok(histories.of(experiment).tally());
        }
        self.database.ask(|connection| read::tally(connection, experiment))
    }

    fn tallies(&self) -> Result<BTreeMap<ExperimentId, Tally>, LedgerError> {
        let contents = self.set_aside();
        let tallies = self.database.ask(read::tallies)?;
        self.with_set_aside(tallies, &contents.experiments().collect(), &contents)
    }

    /// Always [`LedgerError::Denied`].
    fn mark_clean_shutdown(&mut self, _: BootId, _: Timestamp) -> Result<Outcome, LedgerError> {
        Err(Failure::ReadOnly.into())
    }

    fn ended_cleanly(&self, boot: BootId) -> Result<bool, LedgerError> {
        self.database.ask(|connection| read::ended_cleanly(connection, boot))
    }
}
