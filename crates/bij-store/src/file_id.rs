//! The identity of the database's file.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::database_error::DatabaseError;

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
