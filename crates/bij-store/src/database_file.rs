//! A database that is looked at, not held.

use std::path::PathBuf;

use bij_core::port::LedgerError;
use rusqlite::Connection;

use crate::failure::Failure;
use crate::open::{self, Reading};
use crate::read;

/// The place of a database, which is opened to be read anew for every question: it may be missing,
/// made, replaced or cleaned up in between, and no lock is held on it.
#[derive(Clone, Debug)]
pub(crate) struct DatabaseFile {
    path: PathBuf,
}

impl DatabaseFile {
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Asks something of one state of the database; a missing one answers with nothing.
    pub(crate) fn ask<T: Default>(
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
