//! The ledger for those who may only look.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bij_core::port::{AttemptQuery, Closing, Ledger, LedgerError, Opened, Opening};
use bij_core::{Attempt, AttemptKey, BootId, ExperimentId, Outcome, Tally, Timestamp};
use rusqlite::Connection;

use crate::failure::Failure;
use crate::open::{self, Reading};
use crate::read;

/// The ledger, read by somebody who need not have the right to write it, nor a database to read:
/// a missing one is an empty history.
///
/// It opens the database anew for every question, so it may live long, follow a database that
/// others make, replace or close meanwhile, and holds no lock in between.
#[derive(Clone, Debug)]
pub struct Reader {
    path: PathBuf,
}

impl Reader {
    /// Reads the database at `path`, whenever it is asked something.
    pub const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The attempt with this key.
    ///
    /// # Errors
    /// [`LedgerError`] if it could not be read.
    pub fn attempt(&self, key: AttemptKey) -> Result<Option<Attempt>, LedgerError> {
        self.ask(|connection| Ok(read::attempt(connection, key)?.map(|(_, attempt)| attempt)))
    }

    fn ask<T: Default>(
        &self,
        question: impl Fn(&Connection) -> Result<T, Failure>,
    ) -> Result<T, LedgerError> {
        let Some((connection, reading)) = open::to_read(&self.path)? else {
            return Ok(T::default());
        };
        let answer = read::at_one_moment(&connection, &question);
        if reading == Reading::Still && open::log_has_content(&self.path) {
            // Somebody has begun to write. Now there is a log, and an index to read it by.
            let Some((connection, _)) = open::to_read(&self.path)? else {
                return Ok(T::default());
            };
            return Ok(read::at_one_moment(&connection, &question)?);
        }
        Ok(answer?)
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
        self.ask(|connection| read::attempts(connection, query))
    }

    fn tally(&self, experiment: &ExperimentId) -> Result<Tally, LedgerError> {
        self.ask(|connection| read::tally(connection, experiment))
    }

    fn tallies(&self) -> Result<BTreeMap<ExperimentId, Tally>, LedgerError> {
        self.ask(read::tallies)
    }

    /// Always [`LedgerError::Denied`].
    fn mark_clean_shutdown(&mut self, _: BootId, _: Timestamp) -> Result<Outcome, LedgerError> {
        Err(Failure::ReadOnly.into())
    }

    fn ended_cleanly(&self, boot: BootId) -> Result<bool, LedgerError> {
        self.ask(|connection| read::ended_cleanly(connection, boot))
    }
}
