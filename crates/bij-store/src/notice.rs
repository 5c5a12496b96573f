//! What a person should hear about the ledger, besides its answers.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};

use bij_core::port::LedgerError;

use crate::SpoolError;

/// Something happened to a record that the journal should tell.
#[derive(Debug)]
#[non_exhaustive]
pub enum Notice<'a> {
    /// The database could not take a record; it is kept in a file and taken in later.
    SetAside {
        /// The record, as JSON.
        record: &'a str,
        /// The file.
        file: &'a Path,
        /// Why.
        why: &'a LedgerError,
    },
    /// Neither the database nor the spool could take a record. This notice is all that is left.
    Lost {
        /// The record, as JSON.
        record: &'a str,
        /// Why the database did not.
        why: &'a LedgerError,
        /// Why the spool did not.
        spool: &'a SpoolError,
    },
    /// The database has taken in what was set aside before.
    TakenIn {
        /// How many records.
        records: usize,
    },
    /// The spool, or a file in it, cannot be read or cleaned; it is tried again.
    Unreadable {
        /// Why.
        why: &'a SpoolError,
    },
    /// A file of the spool cannot be taken in, ever, and was moved out of the way.
    Damaged {
        /// Where it lies now; `None` if it is gone.
        file: Option<PathBuf>,
        /// Why.
        why: &'a (dyn Error + 'static),
    },
}

impl fmt::Display for Notice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SetAside { record, file, why } => {
                write!(f, "{}; set aside in {}: {record}", Chain(*why), file.display())
            }
            Self::Lost { record, why, spool } => {
                write!(f, "{}; nor could it be set aside: {}: {record}", Chain(*why), Chain(*spool))
            }
            Self::TakenIn { records } => {
                write!(f, "the state database has taken in {records} records that were set aside")
            }
            Self::Unreadable { why } => {
                write!(f, "what was set aside cannot be taken in: {}", Chain(*why))
            }
            Self::Damaged { file: Some(file), why } => {
                write!(
                    f,
                    "a record that was set aside is no use, see {}: {}",
                    file.display(),
                    Chain(*why)
                )
            }
            Self::Damaged { file: None, why } => {
                write!(f, "a record that was set aside was no use and is gone: {}", Chain(*why))
            }
        }
    }
}

/// An error with what is behind it.
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
