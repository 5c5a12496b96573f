//! The ledger for those who may only look.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use bij_core::port::{AttemptQuery, Closing, Ledger, LedgerError, Opened, Opening};
use bij_core::{
    Attempt, AttemptKey, BootId, ExperimentId, History, Layout, Outcome, Tally, Timestamp,
};

use self::histories::Histories;
use crate::database_file::DatabaseFile;
use crate::failure::Failure;
use crate::read;
use crate::spool::{Contents, Spool};

mod histories;
mod pieces;
mod queue;

pub use pieces::Pieces;

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
        let histories = self.histories([experiment].into(), &contents)?;
        Ok(histories.of(experiment).attempt(key).cloned())
    }

    /// One attempt's place by the best that is known, if it were opened now.
    pub(crate) fn place(&self, opening: &Opening) -> Opened {
        let contents = self.set_aside();
        let experiments = BTreeSet::from([&opening.experiment]);
        let mut histories = self.histories(experiments, &contents).unwrap_or_else(|_| {
            let mut histories = Histories::default();
            histories.of_one.insert(opening.experiment.clone(), History::default());
            histories.hear(&contents);
            histories
        });
        histories.open(opening)
    }

    /// What is set aside. A spool that cannot be read hides nothing that a database tells.
    fn set_aside(&self) -> Contents {
        self.spool.as_ref().and_then(|spool| spool.contents().ok()).unwrap_or_default()
    }

    /// Experiments' histories as they will be when the spool is taken in.
    fn histories(
        &self,
        experiments: BTreeSet<&ExperimentId>,
        contents: &Contents,
    ) -> Result<Histories, LedgerError> {
        let mut histories = self.database.ask(|connection| {
            let mut histories = Histories::read(connection)?;
            for experiment in &experiments {
                histories.add(connection, experiment)?;
            }
            Ok(histories)
        })?;
        for experiment in experiments {
            histories.of_one.entry(experiment.clone()).or_default();
        }
        histories.hear(contents);
        Ok(histories)
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
        if contents.records.is_empty() {
            return self.database.ask(|connection| read::attempts(connection, query));
        }
        let of = AttemptQuery { experiment: query.experiment.clone(), ..Default::default() };
        let mut attempts = self.database.ask(|connection| read::attempts(connection, &of))?;
        let asked = |experiment: &&ExperimentId| {
            query.experiment.as_ref().is_none_or(|asked| asked == *experiment)
        };
        let told: BTreeSet<_> = contents.experiments().filter(asked).collect();
        let histories = self.histories(told, &contents)?;
        for kept in &contents.records {
            let key = kept.record.key();
            let Some(history) = histories.of_one.get(kept.record.experiment()) else { continue };
            let told = history.attempt(key).cloned();
            match attempts.iter_mut().find(|attempt| attempt.key == key) {
                Some(known) => *known = told.unwrap_or_else(|| known.clone()),
                None => attempts.extend(told),
            }
        }
        Ok(query.choose(attempts))
    }

    fn tally(&self, experiment: &ExperimentId) -> Result<Tally, LedgerError> {
        let contents = self.set_aside();
        if contents.experiments().any(|told| told == experiment) {
            let histories = self.histories([experiment].into(), &contents)?;
            return Ok(histories.of(experiment).tally());
        }
        self.database.ask(|connection| read::tally(connection, experiment))
    }

    fn tallies(&self) -> Result<BTreeMap<ExperimentId, Tally>, LedgerError> {
        let contents = self.set_aside();
        let mut tallies = self.database.ask(read::tallies)?;
        let histories = self.histories(contents.experiments().collect(), &contents)?;
        for (experiment, history) in &histories.of_one {
            tallies.insert(experiment.clone(), history.tally());
        }
        Ok(tallies)
    }

    /// Always [`LedgerError::Denied`].
    fn mark_clean_shutdown(&mut self, _: BootId, _: Timestamp) -> Result<Outcome, LedgerError> {
        Err(Failure::ReadOnly.into())
    }

    fn ended_cleanly(&self, boot: BootId) -> Result<bool, LedgerError> {
        self.database.ask(|connection| read::ended_cleanly(connection, boot))
    }
}
