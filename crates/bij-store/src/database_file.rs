//! Reads a database without the permission to write it.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::{fmt, fs};

use bij_core::port::LedgerError;
use rusqlite::Connection;

use crate::database_error::DatabaseError;
use crate::open::{self, ReadMode};
use crate::{migration, read};

/// The path of a database that may be missing, created or replaced between two queries. No lock is held
/// between them.
pub(crate) struct DatabaseFile {
    path: PathBuf,
    /// Reused while it is the same file: opening a connection costs as much as several queries. A query
    /// takes it out and puts it back.
    idle: Mutex<Option<OpenDatabase>>,
}

struct OpenDatabase {
    file: FileId,
    connection: Connection,
}

impl DatabaseFile {
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self { path, idle: Mutex::new(None) }
    }

    /// Runs a query on one snapshot of the database; the default value if there is no database.
    pub(crate) fn query<T: Default>(
        &self,
        query: impl Fn(&Connection) -> Result<T, DatabaseError>,
    ) -> Result<T, LedgerError> {
        let file = FileId::read(&self.path);
        if let Some(idle) = self.take_idle(file)
            // A new connection may succeed where this one failed.
            && let Ok(answer) = read::in_snapshot(&idle.connection, &query)
        {
            self.put_idle(idle);
            return Ok(answer);
        }
        let Some((connection, mode)) = open::for_reading(&self.path)? else {
            return Ok(T::default());
        };
        let answer = read::in_snapshot(&connection, &query);
        if mode == ReadMode::Immutable && open::wal_has_content(&self.path) {
            // A writer has begun since: there is a log now, and an index to read it by.
            let Some((connection, _)) = open::for_reading(&self.path)? else {
                return Ok(T::default());
            };
            return Ok(read::in_snapshot(&connection, &query)?);
        }
        if let (ReadMode::Shared, Ok(_), Some(file)) = (mode, &answer, file) {
            self.put_idle(OpenDatabase { file, connection });
        }
        Ok(answer?)
    }

    /// Runs a query that also has a result without a database, for which it gets no connection.
    pub(crate) fn query_even_if_missing<T>(
        &self,
        query: impl Fn(Option<&Connection>) -> Result<T, DatabaseError>,
    ) -> Result<T, LedgerError> {
        match self.query(|connection| query(Some(connection)).map(Some))? {
            Some(answer) => Ok(answer),
            None => Ok(query(None)?),
        }
    }

    fn take_idle(&self, file: Option<FileId>) -> Option<OpenDatabase> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        let is_usable = |idle: &OpenDatabase| {
            Some(idle.file) == file
                && migration::version(&idle.connection)
                    .is_ok_and(|version| version == migration::KNOWN)
        };
        idle.filter(is_usable)
    }

    fn put_idle(&self, idle: OpenDatabase) {
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(idle);
    }
}

/// Copies the path alone: each clone opens its own connection.
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

/// Device and inode of a file. While the file is open, no other file has the same pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId(u64, u64);

impl FileId {
    /// Reads the identity of the file at a path; `None` if there is none, or it cannot be reached.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|file| Self(file.dev(), file.ino()))
    }

    /// Returns an error unless this file is the one at the path.
    pub(crate) fn ensure_at(self, path: &Path) -> Result<(), DatabaseError> {
        match Self::read(path) {
            Some(found) if found == self => Ok(()),
            Some(_) => Err(DatabaseError::Another { path: path.to_owned() }),
            None => Err(DatabaseError::Gone { path: path.to_owned() }),
        }
    }
}
