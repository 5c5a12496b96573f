//! Events of the ledger that belong in the journal.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};

use bij_core::port::LedgerError;

use crate::SpoolError;

/// An event about spooled records that belongs in the journal.
#[derive(Debug)]
#[non_exhaustive]
pub enum LedgerNotice<'a> {
    /// The database refused a record. It is in a file and will be applied later.
    Spooled {
        /// The record as JSON.
        record: &'a str,
        /// The file of the record in the spool.
        file: &'a Path,
        /// Why the database refused the record.
        why: &'a LedgerError,
    },
    /// Neither the database nor the spool took a record. Only this notice holds it.
    Lost {
        /// The record as JSON.
        record: &'a str,
        /// Why the database refused the record.
        why: &'a LedgerError,
        /// Why the spool refused the record.
        spool: &'a SpoolError,
    },
    /// The database now holds records that were in the spool.
    Applied {
        /// Number of applied records.
        records: usize,
    },
    /// The spool, or a file in it, cannot be read or removed. The next write tries again.
    Unreadable {
        /// Error of the file system.
        why: &'a SpoolError,
    },
    /// A file of the spool can never be applied and was renamed.
    Damaged {
        /// Its new path; `None` if it is gone.
        file: Option<PathBuf>,
        /// Why it cannot be applied.
        why: &'a (dyn Error + 'static),
    },
}

impl fmt::Display for LedgerNotice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spooled { record, file, why } => {
                write!(f, "{}; set aside in {}: {record}", Chain(*why), file.display())
            }
            Self::Lost { record, why, spool } => {
                write!(f, "{}; nor could it be set aside: {}: {record}", Chain(*why), Chain(*spool))
            }
            Self::Applied { records } => {
                write!(f, "the state database now holds {records} records that were set aside")
            }
            Self::Unreadable { why } => {
                write!(f, "records that were set aside cannot be read or removed: {}", Chain(*why))
            }
            Self::Damaged { file: Some(file), why } => {
                write!(
                    f,
                    "a record that was set aside cannot be used and is kept as {}: {}",
                    file.display(),
                    Chain(*why)
                )
            }
            Self::Damaged { file: None, why } => {
                write!(f, "a record that was set aside cannot be used and is gone: {}", Chain(*why))
            }
        }
    }
}

/// Displays an error with its sources.
struct Chain<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
