//! A database that is looked at by somebody who need not have the right to write it.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use bij_core::port::LedgerError;
use rusqlite::Connection;

use crate::failure::Failure;
use crate::file_id::FileId;
use crate::open::{self, Reading};
use crate::{migration, read};

/// The place of a database, which is looked for anew at every question: it may be missing, made,
/// replaced or cleaned up in between. No lock on its content is held from one question to the next.
pub(crate) struct DatabaseFile {
    path: PathBuf,
    /// As long as it is the same file, its connection serves again: to open one costs as much as to
    /// ask several questions. Whoever asks takes it out.
    kept: Mutex<Option<Kept>>,
}

struct Kept {
    file: FileId,
    connection: Connection,
}

impl DatabaseFile {
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self { path, kept: Mutex::new(None) }
    }

    /// Asks something of one state of the database; a missing one answers with nothing.
    pub(crate) fn ask<T: Default>(
        &self,
        question: impl Fn(&Connection) -> Result<T, Failure>,
    ) -> Result<T, LedgerError> {
        let file = FileId::of(&self.path);
        if let Some(kept) = self.take_kept(file) {
            let answer = read::at_one_moment(&kept.connection, &question);
            if let Ok(answer) = answer {
                self.keep(kept);
                return Ok(answer);
            }
            // What is wrong with it, a new one may not have.
        }
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
        if let (Reading::Shared, Ok(_), Some(file)) = (reading, &answer, file) {
            self.keep(Kept { file, connection });
        }
        Ok(answer?)
    }

    /// Asks something that has an answer without a database, too: then there is no connection.
    pub(crate) fn ask_even_if_missing<T>(
        &self,
        question: impl Fn(Option<&Connection>) -> Result<T, Failure>,
    ) -> Result<T, LedgerError> {
        match self.ask(|connection| question(Some(connection)).map(Some))? {
            Some(answer) => Ok(answer),
            None => Ok(question(None)?),
        }
    }

    fn take_kept(&self, file: Option<FileId>) -> Option<Kept> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).take();
        let usable = |kept: &Kept| {
            Some(kept.file) == file
                && migration::version(&kept.connection)
                    .is_ok_and(|version| version == migration::KNOWN)
        };
        kept.filter(usable)
    }

    fn keep(&self, kept: Kept) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
    }
}

/// The place alone: each has a connection of its own.
impl Clone for DatabaseFile {
    fn clone(&self) -> Self {
        Self::new(self.path.clone())
    }
}

impl fmt::Debug for DatabaseFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DatabaseFile").field(&self.path).finish()
    }
}
