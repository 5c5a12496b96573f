//! Why the database could not answer, in its own words, and what that means to the ledger.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use bij_core::ExperimentId;
use bij_core::port::LedgerError;
use rusqlite::ErrorCode;
use thiserror::Error;

/// What went wrong below the port; becomes the source of a [`LedgerError`].
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// SQLite's own error.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// A file or directory.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A newer bij has written the database.
    #[error("schema {found} is newer than {known}")]
    Newer {
        /// Its schema.
        found: i64,
        /// The newest one known here.
        known: i64,
    },
    /// An older bij has written it and nobody with the right to write has opened it since.
    #[error("schema {found} is brought up to date by the next start of an experiment")]
    Older {
        /// Its schema.
        found: i64,
    },
    /// Some other program's database.
    #[error("it is not bij's: its application id is {application:#010x}")]
    NotOurs {
        /// Its `application_id`.
        application: i32,
    },
    /// A value that bij never writes.
    #[error("row {row}: {column} cannot be read")]
    Value {
        /// Its row.
        row: i64,
        /// Which column.
        column: &'static str,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Another experiment has an attempt with this key.
    #[error("it is an attempt of {owner}")]
    Claimed {
        /// Whose it is.
        owner: ExperimentId,
    },
    /// The index of the write-ahead log is missing, and whoever asks may not make it.
    #[error("its log has no index; whoever may write it makes one, for example `bij list` as root")]
    NoIndex,
    /// The file that was open is no longer at its path, where there is none now.
    #[error("{} is gone", path.display())]
    Gone {
        /// Its path.
        path: PathBuf,
    },
    /// The file that was open is no longer at its path, where there is another one now.
    #[error("another file is at {}", path.display())]
    Another {
        /// Its path.
        path: PathBuf,
    },
    /// The database was opened to be read.
    #[error("it is open for reading only")]
    ReadOnly,
}

impl Failure {
    /// Whether the record itself is refused, and always will be.
    pub(crate) fn is_about_the_record(&self) -> bool {
        match self {
            Self::Claimed { .. } => true,
            Self::Sqlite(error) => {
                error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
            }
            Self::File { .. }
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

impl From<Failure> for LedgerError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Newer { found, known } => Self::Newer { found, known },
            Failure::Claimed { owner } => Self::Claimed { owner },
            Failure::Value { .. } => Self::Corrupt(Box::new(failure)),
            Failure::Gone { .. } | Failure::Another { .. } => Self::Replaced(Box::new(failure)),
            Failure::ReadOnly | Failure::NoIndex => Self::Denied(Box::new(failure)),
            Failure::Sqlite(ref error) => of_sqlite(error)(Box::new(failure)),
            Failure::File { ref source, .. } => of_io(source.kind())(Box::new(failure)),
            Failure::Older { .. } | Failure::NotOurs { .. } => Self::Other(Box::new(failure)),
        }
    }
}

type Kind = fn(Box<dyn Error + Send + Sync>) -> LedgerError;

/// Result codes: <https://www.sqlite.org/rescode.html>.
fn of_sqlite(error: &rusqlite::Error) -> Kind {
    // A disk without room also shows as an I/O error where SQLite enlarges its shared memory.
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

fn of_io(kind: io::ErrorKind) -> Kind {
    match kind {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => LedgerError::Denied,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => LedgerError::Full,
        _ => LedgerError::Other,
    }
}
