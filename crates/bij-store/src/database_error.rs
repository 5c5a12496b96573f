//! Errors of the database, and the ledger error that each becomes.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use bij_core::ExperimentId;
use bij_core::port::LedgerError;
use rusqlite::ErrorCode;
use thiserror::Error;

/// An error below the port; the source of a [`LedgerError`].
#[derive(Debug, Error)]
pub(crate) enum DatabaseError {
    /// An error of SQLite.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// A file or directory could not be used.
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    /// The linked SQLite is too old; both versions as SQLite numbers them, 3038000 for 3.38.0.
    #[error("SQLite {} is older than {}", version(*.found), version(*.needed))]
    OldLibrary { found: i32, needed: i32 },
    /// A newer bij has written the database.
    #[error("schema {found} is newer than {known}")]
    Newer {
        /// Schema of the database.
        found: i64,
        /// Newest schema that this program knows.
        known: i64,
    },
    /// An older bij has written the database, and no process that can write it has opened it since.
    #[error(
        "schema {found} is older than this program's; the next start of an experiment upgrades it"
    )]
    Older { found: i64 },
    /// The database belongs to another program.
    #[error("it is not a database of bij: its application id is {application:#010x}")]
    NotOurs { application: i32 },
    /// A value that bij never writes.
    #[error("row {row}: {column} cannot be read")]
    Value { row: i64, column: &'static str, source: Box<dyn Error + Send + Sync> },
    /// Another experiment has an attempt with this key.
    #[error("it is an attempt of {owner}")]
    Claimed { owner: ExperimentId },
    /// The index of the write-ahead log is missing, and this process cannot create it.
    #[error("its log has no index; run `bij list` as root, which creates one")]
    NoIndex,
    /// The open file is no longer at its path, where there is none now.
    #[error("{} is gone", path.display())]
    Gone { path: PathBuf },
    /// The open file is no longer at its path, where there is another one now.
    #[error("another file is at {}", path.display())]
    Another { path: PathBuf },
    /// The database is open for reading.
    #[error("it is open for reading only")]
    ReadOnly,
}

impl DatabaseError {
    /// Whether the database will always refuse the record.
    pub(crate) fn is_permanent_for_record(&self) -> bool {
        match self {
            Self::Claimed { .. } => true,
            Self::Sqlite(error) => {
                error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
            }
            Self::File { .. }
            | Self::OldLibrary { .. }
            | Self::Newer { .. }
            | Self::Older { .. }
            | Self::NotOurs { .. }
            | Self::Value { .. }
            | Self::NoIndex
            | Self::Gone { .. }
            | Self::Another { .. }
            | Self::ReadOnly => false,
        }
    }
}

impl From<DatabaseError> for LedgerError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::OldLibrary { found, needed } => {
                Self::OldLibrary { found: version(found), needed: version(needed) }
            }
            DatabaseError::Newer { found, known } => Self::Newer { found, known },
            DatabaseError::Claimed { owner } => Self::Claimed { owner },
            DatabaseError::Value { .. } => Self::Corrupt(Box::new(error)),
            DatabaseError::Gone { .. } | DatabaseError::Another { .. } => {
                Self::Replaced(Box::new(error))
            }
            DatabaseError::ReadOnly | DatabaseError::NoIndex => Self::Denied(Box::new(error)),
            DatabaseError::Sqlite(ref source) => sqlite_kind(source)(Box::new(error)),
            DatabaseError::File { ref source, .. } => io_kind(source.kind())(Box::new(error)),
            DatabaseError::Older { .. } | DatabaseError::NotOurs { .. } => {
                Self::Other(Box::new(error))
            }
        }
    }
}

/// Formats the number of a version of SQLite (<https://www.sqlite.org/c3ref/c_source_id.html>).
fn version(number: i32) -> String {
    format!("{}.{}.{}", number / 1_000_000, number / 1_000 % 1_000, number % 1_000)
}

/// A variant of [`LedgerError`] that takes its source.
type LedgerErrorKind = fn(Box<dyn Error + Send + Sync>) -> LedgerError;

/// Maps a result code of SQLite: <https://www.sqlite.org/rescode.html>.
fn sqlite_kind(error: &rusqlite::Error) -> LedgerErrorKind {
    // A full disk is an I/O error where SQLite enlarges its shared memory.
    const IOERR_SHMSIZE: i32 = 4874;
    match error.sqlite_error() {
        Some(error) if error.extended_code == IOERR_SHMSIZE => LedgerError::Full,
        Some(error) => match error.code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => LedgerError::Busy,
            ErrorCode::DiskFull => LedgerError::Full,
            ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied
            | ErrorCode::AuthorizationForStatementDenied => LedgerError::Denied,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => LedgerError::Corrupt,
            _ => LedgerError::Other,
        },
        None => LedgerError::Other,
    }
}

fn io_kind(kind: io::ErrorKind) -> LedgerErrorKind {
    match kind {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => LedgerError::Denied,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => LedgerError::Full,
        _ => LedgerError::Other,
    }
}
