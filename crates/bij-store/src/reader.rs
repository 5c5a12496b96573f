//! The ledger for callers without write permission.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use bij_core::port::{AttemptQuery, Closing, Ledger, LedgerError, Opened, Opening};
use bij_core::{
    Attempt, AttemptKey, BootId, ExperimentId, History, Layout, Outcome, Tally, Timestamp,
};

use self::histories::Histories;
use crate::database_error::DatabaseError;
use crate::database_file::DatabaseFile;
use crate::read;
use crate::spool::{Spool, SpoolContents};

mod attempt_chunks;
mod histories;
mod queue;

pub use attempt_chunks::AttemptChunks;

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
    pub const fn new(path: PathBuf) -> Self {
        Self { database: DatabaseFile::new(path), spool: None }
    }

    /// Reads the database and the spool of an installation.
    pub fn at(layout: &Layout) -> Self {
        Self::new(layout.database()).with_spool(layout.spool())
    }

    /// Also reads the spool in this directory.
    #[must_use]
    pub fn with_spool(mut self, directory: PathBuf) -> Self {
        self.spool = Some(Spool::new(directory));
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
        let histories = self.histories([experiment].into(), &contents)?;
        Ok(histories.get(experiment).attempt(key).cloned())
    }

    /// Returns what opening an attempt now would return, from the best that is known.
    pub(crate) fn preview_opening(&self, opening: &Opening) -> Opened {
        let contents = self.spool_contents();
        let experiments = BTreeSet::from([&opening.experiment]);
        let mut histories = self.histories(experiments, &contents).unwrap_or_else(|_| {
            let mut histories = Histories::default();
            histories.by_experiment.insert(opening.experiment.clone(), History::default());
            histories.apply(&contents);
            histories
        });
        histories.open(opening)
    }

    /// Reads the spool; an unreadable one counts as empty, so that the database can still be read.
    fn spool_contents(&self) -> SpoolContents {
        self.spool.as_ref().and_then(|spool| spool.contents().ok()).unwrap_or_default()
    }

    /// Returns the histories of experiments as they will be once the spool is applied.
    fn histories(
        &self,
        experiments: BTreeSet<&ExperimentId>,
        contents: &SpoolContents,
    ) -> Result<Histories, LedgerError> {
        let mut histories = self.database.query(|connection| {
            let mut histories = Histories::read(connection)?;
            for experiment in &experiments {
                histories.add(connection, experiment)?;
            }
            Ok(histories)
        })?;
        for experiment in experiments {
            histories.by_experiment.entry(experiment.clone()).or_default();
        }
        histories.apply(contents);
        Ok(histories)
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
        if contents.records.is_empty() {
            return self.database.query(|connection| read::attempts(connection, query));
        }
        let all = AttemptQuery { experiment: query.experiment.clone(), ..Default::default() };
        let mut attempts = self.database.query(|connection| read::attempts(connection, &all))?;
        let is_wanted = |experiment: &&ExperimentId| {
            query.experiment.as_ref().is_none_or(|wanted| wanted == *experiment)
        };
        let experiments: BTreeSet<_> = contents.experiments().filter(is_wanted).collect();
        let histories = self.histories(experiments, &contents)?;
        for entry in &contents.records {
            let key = entry.record.key();
            let Some(history) = histories.by_experiment.get(entry.record.experiment()) else {
                continue;
            };
            let spooled = history.attempt(key).cloned();
            match attempts.iter_mut().find(|attempt| attempt.key == key) {
                Some(stored) => *stored = spooled.unwrap_or_else(|| stored.clone()),
                None => attempts.extend(spooled),
            }
        }
        Ok(query.choose(attempts))
    }

    fn tally(&self, experiment: &ExperimentId) -> Result<Tally, LedgerError> {
        let contents = self.spool_contents();
        if contents.experiments().any(|spooled| spooled == experiment) {
            let histories = self.histories([experiment].into(), &contents)?;
            return Ok(histories.get(experiment).tally());
        }
        self.database.query(|connection| read::tally(connection, experiment))
    }

    fn tallies(&self) -> Result<BTreeMap<ExperimentId, Tally>, LedgerError> {
        let contents = self.spool_contents();
        let mut tallies = self.database.query(read::tallies)?;
        let histories = self.histories(contents.experiments().collect(), &contents)?;
        for (experiment, history) in &histories.by_experiment {
            tallies.insert(experiment.clone(), history.tally());
        }
        Ok(tallies)
    }

    /// Returns [`LedgerError::Denied`]: a reader cannot write.
    fn mark_clean_shutdown(&mut self, _: BootId, _: Timestamp) -> Result<Outcome, LedgerError> {
        Err(DatabaseError::ReadOnly.into())
    }

    fn ended_cleanly(&self, boot: BootId) -> Result<bool, LedgerError> {
        self.database.query(|connection| read::ended_cleanly(connection, boot))
    }
}
