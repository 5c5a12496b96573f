//! The ledger for those who may only look.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use bij_core::port::{AttemptQuery, Closing, Ledger, LedgerError, Opened, Opening};
use bij_core::queue::{Place, QueuedRun};
use bij_core::{
    Attempt, AttemptKey, BootId, ExperimentId, History, Layout, Outcome, RunEnd, Runs, Tally,
    Timestamp,
};

use crate::database_file::DatabaseFile;
use crate::failure::Failure;
use crate::read;
use crate::spool::{Contents, Record, Spool};

/// The ledger, read by somebody who need not have the right to write it, nor a database to read:
/// a missing one is an empty history.
///
/// What lies in the spool is read on top of the database, so an answer is the same before and after
/// the database takes it in. Both are looked at anew for every question, so a reader may live long
/// and holds no lock.
#[derive(Clone, Debug)]
pub struct Reader {
    database: DatabaseFile,
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
        let history = self.history(kept.record.experiment(), &contents)?;
        Ok(history.attempts().iter().find(|attempt| attempt.key == key).cloned())
    }

    /// One attempt's place by the best that is known, if it were opened now.
    pub(crate) fn place(&self, opening: &Opening) -> Opened {
        let contents = self.set_aside();
        let mut history = self.history(&opening.experiment, &contents).unwrap_or_else(|_| {
            let mut history = History::default();
            tell(&mut history, &opening.experiment, &contents);
            history
        });
        history.open(opening, Place(0))
    }

    /// What is set aside. A spool that cannot be read hides nothing that a database tells.
    fn set_aside(&self) -> Contents {
        self.spool.as_ref().and_then(|spool| spool.contents().ok()).unwrap_or_default()
    }

    /// One experiment's history as it will be when the spool is taken in.
    fn history(
        &self,
        experiment: &ExperimentId,
        contents: &Contents,
    ) -> Result<History, LedgerError> {
        let query = AttemptQuery { experiment: Some(experiment.clone()), ..Default::default() };
        let (tally, attempts) = self.database.ask(|connection| {
            Ok((read::tally(connection, experiment)?, read::attempts(connection, &query)?))
        })?;
        let mut history = History::resume(&tally, attempts.clone(), runs(&tally, &attempts));
        tell(&mut history, experiment, contents);
        Ok(history)
    }
}

/// How the runs of these attempts stand.
fn runs(tally: &Tally, attempts: &[Attempt]) -> Runs {
    let mut runs = Runs::default();
    let newest = attempts.last().map(|attempt| attempt.run.number);
    for attempt in attempts {
        let number = attempt.run.number;
        if Some(number) != newest {
            let end = attempt.end.as_ref().and_then(RunEnd::after).unwrap_or(RunEnd::GaveUp);
            runs.ended.insert(number, end);
        } else if let Some(end) = tally.last_run_end {
            runs.ended.insert(number, end);
        } else {
            let queued = QueuedRun::begun(attempt.run.clone(), Place(0), attempt.started);
            runs.queued = vec![queued];
        }
    }
    runs
}

/// Tells a history what is set aside of it.
fn tell(history: &mut History, experiment: &ExperimentId, contents: &Contents) {
    for kept in contents.records.iter().filter(|kept| kept.record.experiment() == experiment) {
        match &kept.record {
            Record::Open(opening) => drop(history.open(opening, Place(0))),
            Record::Close(closing) => {
                history.close(closing, Place(0));
            }
        }
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
        let mut histories = BTreeMap::<&ExperimentId, History>::new();
        for kept in &contents.records {
            let (experiment, key) = (kept.record.experiment(), kept.record.key());
            if query.experiment.as_ref().is_some_and(|asked| asked != experiment) {
                continue;
            }
            if !histories.contains_key(experiment) {
                histories.insert(experiment, self.history(experiment, &contents)?);
            }
            let history = &histories[experiment];
            let told = history.attempts().iter().find(|attempt| attempt.key == key).cloned();
            match attempts.iter_mut().find(|attempt| attempt.key == key) {
                Some(known) => *known = told.unwrap_or_else(|| known.clone()),
                None => attempts.extend(told),
            }
        }
        Ok(query.choose(attempts))
    }

    fn tally(&self, experiment: &ExperimentId) -> Result<Tally, LedgerError> {
        let contents = self.set_aside();
        if contents.records.iter().any(|kept| kept.record.experiment() == experiment) {
            return Ok(self.history(experiment, &contents)?.tally());
        }
        self.database.ask(|connection| read::tally(connection, experiment))
    }

    fn tallies(&self) -> Result<BTreeMap<ExperimentId, Tally>, LedgerError> {
        let contents = self.set_aside();
        let mut tallies = self.database.ask(read::tallies)?;
        let told: BTreeSet<_> =
            contents.records.iter().map(|kept| kept.record.experiment()).collect();
        for experiment in told {
            tallies.insert(experiment.clone(), self.history(experiment, &contents)?.tally());
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
