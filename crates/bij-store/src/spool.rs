//! Records that the database could not take, as files in the runtime directory.
//!
//! A record is one file, complete or absent: written under another name, then linked to its own,
//! which is made of the attempt's key. So the same record told twice is one file, the first one
//! stands, and no lock is needed: who takes a record in removes it only after the database has it,
//! and taking in twice changes nothing. Records carry a number, one more than the highest that was
//! there, and are taken in in that order.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process;

use bij_core::ExperimentId;
use thiserror::Error;

use self::record::BadRecord;
pub(crate) use self::record::Record;

#[cfg(test)]
mod fuzz;
mod record;

/// Why the spool could not keep or give a record.
#[derive(Debug, Error)]
#[error("{}", path.display())]
pub struct SpoolError {
    path: PathBuf,
    source: io::Error,
}

/// The directory of the spool.
#[derive(Clone, Debug)]
pub(crate) struct Spool {
    directory: PathBuf,
}

/// What lies in the spool.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// In the order in which they were put there.
    pub(crate) records: Vec<Kept>,
    /// Files that are no records.
    pub(crate) damaged: Vec<(PathBuf, BadRecord)>,
    /// Files that could not be read this time.
    pub(crate) unreadable: Vec<SpoolError>,
    /// The highest number that a record carries.
    pub(crate) highest: u64,
}

impl Contents {
    /// Whose records they are, each as often as it has one.
    pub(crate) fn experiments(&self) -> impl Iterator<Item = &ExperimentId> {
        self.records.iter().map(|kept| kept.record.experiment())
    }
}

/// A record and its file.
#[derive(Debug)]
pub(crate) struct Kept {
    /// Its file.
    pub(crate) file: PathBuf,
    /// What it says.
    pub(crate) record: Record,
}

impl Spool {
    pub(crate) const fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Keeps a record, and says where; `None` if the same record is there already.
    pub(crate) fn put(&self, record: &Record) -> Result<Option<PathBuf>, SpoolError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&self.directory)
            .map_err(at(&self.directory))?;
        let sequence = self.contents()?.highest.saturating_add(1);
        let file = self.directory.join(record.file_name());
        let unfinished = file.with_extension(format!("{}.tmp", process::id()));
        let write = || {
            let mut to = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o644)
                .open(&unfinished)?;
            to.write_all(record.to_json(sequence).as_bytes())?;
            to.sync_all()
        };
        let kept = write().and_then(|()| match fs::hard_link(&unfinished, &file) {
            Ok(()) => Ok(Some(file.clone())),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(error),
        });
        // Half a file on a full disk is in the way of the next one.
        let removed = fs::remove_file(&unfinished);
        let kept = kept.map_err(at(&file))?;
        removed.map_err(at(&unfinished))?;
        fs::File::open(&self.directory)
            .and_then(|directory| directory.sync_all())
            .map_err(at(&self.directory))?;
        Ok(kept)
    }

    /// What lies there; a directory that is not there is empty.
    pub(crate) fn contents(&self) -> Result<Contents, SpoolError> {
        let mut contents = Contents::default();
        let mut numbered = Vec::new();
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(contents),
            entries => entries.map_err(at(&self.directory))?,
        };
        for entry in entries {
            let file = entry.map_err(at(&self.directory))?.path();
            if file.extension() != Some(OsStr::new("json")) {
                continue;
            }
            let text = match fs::read(&file) {
                Ok(text) => text,
                // Somebody else has taken it in meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    contents.unreadable.push(at(&file)(error));
                    continue;
                }
            };
            match Record::from_json(&text) {
                Ok((sequence, record)) => numbered.push((sequence, Kept { file, record })),
                Err(why) => contents.damaged.push((file, why)),
            }
        }
        numbered.sort_by(|(a, one), (b, other)| (a, &one.file).cmp(&(b, &other.file)));
        contents.highest = numbered.last().map_or(0, |(sequence, _)| *sequence);
        contents.records = numbered.into_iter().map(|(_, kept)| kept).collect();
        Ok(contents)
    }
}

/// Removes a file whose record the database has.
pub(crate) fn remove(file: &Path) -> Result<(), SpoolError> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(file)(error)),
        _ => Ok(()),
    }
}

/// Moves a file that cannot be taken in out of the way, where a person may look at it, and says
/// where to; `None` if it is gone.
pub(crate) fn move_aside(file: &Path) -> Result<Option<PathBuf>, SpoolError> {
    for number in 0_u32.. {
        let suffix = if number == 0 { "bad".to_owned() } else { format!("{number}.bad") };
        let aside = file.with_extension(suffix);
        match fs::hard_link(file, &aside) {
            Ok(()) => return remove(file).map(|()| Some(aside)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at(file)(error)),
        }
    }
    Ok(None)
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> SpoolError {
    let path = path.to_owned();
    move |source| SpoolError { path, source }
}

#[cfg(test)]
mod tests;
