//! Which file lies at a path.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::failure::Failure;

/// A file by its device and inode. As long as it is open no other file has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId(u64, u64);

impl FileId {
    /// The file at a path; `None` if there is none, or it cannot be reached.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|file| Self(file.dev(), file.ino()))
    }

    /// Returns an error unless this file is the one at the path.
    pub(crate) fn must_be_at(self, path: &Path) -> Result<(), Failure> {
        match Self::of(path) {
            Some(found) if found == self => Ok(()),
            Some(_) => Err(Failure::Another { path: path.to_owned() }),
            None => Err(Failure::Gone { path: path.to_owned() }),
        }
    }
}
