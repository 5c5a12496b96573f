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

/// A database to read, in a file that may be missing, created or replaced between two queries, or in memory. No lock
/// is held between queries.
pub(crate) struct DatabaseFile {
    location: DatabaseLocation,
    /// Reused while it is the same file: opening a connection costs as much as several queries. A query
    /// takes it out and puts it back.
    idle: Mutex<Option<OpenDatabase>>,
}

/// Where a database is read.
#[derive(Clone, Debug)]
enum DatabaseLocation {
    /// In the file at this path.
    File(PathBuf),
    /// In the memory of this process, by the name that its connections share.
    Memory(String),
}

impl DatabaseLocation {
    /// Opens the database; `None` if there is none yet.
    fn open(&self) -> Result<Option<(Connection, ReadMode)>, DatabaseError> {
        match self {
            Self::File(path) => open::for_reading(path),
            Self::Memory(name) => {
                Ok(Some((open::in_memory(name, open::BUSY_TIMEOUT)?, ReadMode::Shared)))
            }
        }
    }

    /// Reads the identity of the file; `None` if it is missing, and for a database in memory.
    fn file(&self) -> Option<FileId> {
        match self {
            Self::File(path) => FileId::read(path),
            Self::Memory(_) => None,
        }
    }

    fn is_in_memory(&self) -> bool {
        matches!(self, Self::Memory(_))
    }

    fn has_log(&self) -> bool {
        matches!(self, Self::File(path) if open::wal_has_content(path))
    }
}

struct OpenDatabase {
    /// `None` for a database in memory.
    file: Option<FileId>,
    connection: Connection,
}

impl DatabaseFile {
    /// Reads the database at a path.
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self { location: DatabaseLocation::File(path), idle: Mutex::new(None) }
    }

    /// Reads the database in memory with this name.
    pub(crate) const fn in_memory(name: String) -> Self {
        Self { location: DatabaseLocation::Memory(name), idle: Mutex::new(None) }
    }

    /// Runs a query on one snapshot of the database; the default value if there is no database.
    pub(crate) fn query<T: Default>(
        &self,
        query: impl Fn(&Connection) -> Result<T, DatabaseError>,
    ) -> Result<T, LedgerError> {
        let file = self.location.file();
        if let Some(idle) = self.take_idle(file)
            // A new connection may succeed where this one failed.
            && let Ok(answer) = read::in_snapshot(&idle.connection, &query)
        {
            self.put_idle(idle);
            return Ok(answer);
        }
        let Some((connection, mode)) = self.location.open()? else {
            return Ok(T::default());
        };
        let answer = read::in_snapshot(&connection, &query);
        if mode == ReadMode::Immutable && self.location.has_log() {
            // A writer has begun since: there is a log now, and an index to read it by.
            let Some((connection, _)) = self.location.open()? else {
                return Ok(T::default());
            };
            return Ok(read::in_snapshot(&connection, &query)?);
        }
        let is_known = file.is_some() || self.location.is_in_memory();
        if mode == ReadMode::Shared && answer.is_ok() && is_known {
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
            idle.file == file
                && migration::version(&idle.connection)
                    .is_ok_and(|version| version == migration::KNOWN)
        };
        idle.filter(is_usable)
    }

    fn put_idle(&self, idle: OpenDatabase) {
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(idle);
    }
}

/// Copies the place alone: each clone opens its own connection.
impl Clone for DatabaseFile {
    fn clone(&self) -> Self {
        Self { location: self.location.clone(), idle: Mutex::new(None) }
    }
}

impl fmt::Debug for DatabaseFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DatabaseFile").field(&self.location).finish()
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
