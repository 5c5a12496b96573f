//! Records that the database refused, as files in the runtime directory.
//!
//! A record is one file, complete or absent: it is written under another name and then linked to its own,
//! which consists of the attempt's key. So the first of two equal records stands. No lock is needed,
//! because a file is removed only after the database has its record, and applying a record twice changes
//! nothing. Each record has a sequence number, one above the highest in the spool; they are applied in
//! that order.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process;

use bij_core::port::{Closing, Opening};
use bij_core::{
    AttemptEnd, AttemptKey, Cause, Evidence, ExperimentId, StartKind, Timestamp, UnknownCause,
    Uptime,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A file or directory of the spool could not be used.
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

/// The files of the spool.
#[derive(Debug, Default)]
pub(crate) struct SpoolContents {
    /// Records in the order in which they were written.
    pub(crate) records: Vec<SpoolEntry>,
    /// Files whose content is not a record.
    pub(crate) damaged: Vec<(PathBuf, InvalidSpoolRecord)>,
    /// Files that could not be read this time.
    pub(crate) unreadable: Vec<SpoolError>,
    /// Highest sequence number of the records.
    pub(crate) highest: u64,
}

impl SpoolContents {
    /// Returns the experiment of each record, with repetitions.
    pub(crate) fn experiments(&self) -> impl Iterator<Item = &ExperimentId> {
        self.records.iter().map(|entry| entry.record.experiment())
    }
}

/// A record and its file.
#[derive(Debug)]
pub(crate) struct SpoolEntry {
    pub(crate) file: PathBuf,
    pub(crate) record: SpoolRecord,
}

impl Spool {
    pub(crate) const fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Writes a record and returns its file; `None` if the spool holds the record already.
    pub(crate) fn put(&self, record: &SpoolRecord) -> Result<Option<PathBuf>, SpoolError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&self.directory)
            .map_err(at(&self.directory))?;
        let sequence = self.contents()?.highest.saturating_add(1);
        let file = self.directory.join(record.file_name());
        let temporary = file.with_extension(format!("{}.tmp", process::id()));
        let write = || {
            let mut writer = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o644)
                .open(&temporary)?;
            writer.write_all(record.to_json(sequence).as_bytes())?;
            writer.sync_all()
        };
        let written = write().and_then(|()| match fs::hard_link(&temporary, &file) {
            Ok(()) => Ok(Some(file.clone())),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(error),
        });
        // On a full disk, an incomplete file takes the space of the next one.
        let removed = fs::remove_file(&temporary);
        let written = written.map_err(at(&file))?;
        removed.map_err(at(&temporary))?;
        fs::File::open(&self.directory)
            .and_then(|directory| directory.sync_all())
            .map_err(at(&self.directory))?;
        Ok(written)
    }

    /// Reads all files; a missing directory is empty.
    pub(crate) fn contents(&self) -> Result<SpoolContents, SpoolError> {
        let mut contents = SpoolContents::default();
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
                // Another process has applied it in the meantime.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    contents.unreadable.push(at(&file)(error));
                    continue;
                }
            };
            match SpoolRecord::from_json(&text) {
                Ok((sequence, record)) => numbered.push((sequence, SpoolEntry { file, record })),
                Err(why) => contents.damaged.push((file, why)),
            }
        }
        numbered.sort_by(|(a, one), (b, other)| (a, &one.file).cmp(&(b, &other.file)));
        contents.highest = numbered.last().map_or(0, |(sequence, _)| *sequence);
        contents.records = numbered.into_iter().map(|(_, entry)| entry).collect();
        Ok(contents)
    }
}

/// Removes a file whose record is in the database.
pub(crate) fn remove(file: &Path) -> Result<(), SpoolError> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(file)(error)),
        _ => Ok(()),
    }
}

/// Renames a file that cannot be applied, so that an administrator can examine it. Returns its new path;
/// `None` if it is gone.
pub(crate) fn move_aside(file: &Path) -> Result<Option<PathBuf>, SpoolError> {
    for number in 0_u32.. {
        let suffix = if number == 0 { "bad".to_owned() } else { format!("{number}.bad") };
        let renamed = file.with_extension(suffix);
        match fs::hard_link(file, &renamed) {
            Ok(()) => return remove(file).map(|()| Some(renamed)),
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

/// A change that the database did not make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SpoolRecord {
    /// An attempt begins.
    Open(Opening),
    /// An attempt has ended.
    Close(Box<Closing>),
}

/// Why the content of a spool file is not a record.
#[derive(Debug, Error)]
pub(crate) enum InvalidSpoolRecord {
    /// It is not JSON, or lacks a field.
    #[error("it is not a whole record")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Cause(#[from] UnknownCause),
    #[error("it has format {0}; this bij knows format {FORMAT}")]
    Format(u32),
}

/// The only version of the format so far.
const FORMAT: u32 = 1;

/// The content of a record's file, in JSON.
#[derive(Serialize, Deserialize)]
struct RecordFile {
    format: u32,
    /// Order in which records are applied; clocks can jump.
    sequence: u64,
    experiment: ExperimentId,
    #[serde(flatten)]
    key: AttemptKey,
    started: Timestamp,
    #[serde(flatten)]
    body: RecordBody,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RecordBody {
    Open {
        start: StartKind,
        #[serde(default)]
        uptime: Option<Uptime>,
    },
    Close {
        ready: Option<Timestamp>,
        ended: Timestamp,
        cause: String,
        evidence: Box<Evidence>,
    },
}

impl SpoolRecord {
    pub(crate) const fn experiment(&self) -> &ExperimentId {
        match self {
            Self::Open(opening) => &opening.experiment,
            Self::Close(closing) => &closing.experiment,
        }
    }

    pub(crate) const fn key(&self) -> AttemptKey {
        match self {
            Self::Open(opening) => opening.key,
            Self::Close(closing) => closing.key,
        }
    }

    /// Returns the name of its file; equal records have equal names.
    pub(crate) fn file_name(&self) -> String {
        let AttemptKey { boot, invocation } = self.key();
        let what = match self {
            Self::Open(_) => "open",
            Self::Close(_) => "close",
        };
        format!("{boot}-{invocation}-{what}.json")
    }

    /// Formats it as one line of JSON.
    pub(crate) fn to_json(&self, sequence: u64) -> String {
        let (started, body) = match self {
            Self::Open(opening) => {
                let Opening { experiment: _, key: _, at, uptime, start } = opening;
                (*at, RecordBody::Open { start: *start, uptime: *uptime })
            }
            Self::Close(closing) => {
                let Closing { experiment: _, key: _, ready, end, started } = closing.as_ref();
                let AttemptEnd { at, cause, evidence } = end;
                let body = RecordBody::Close {
                    ready: *ready,
                    ended: *at,
                    cause: cause.to_string(),
                    evidence: Box::new(evidence.clone()),
                };
                (*started, body)
            }
        };
        let experiment = self.experiment().clone();
        let raw =
            RecordFile { format: FORMAT, sequence, experiment, key: self.key(), started, body };
        serde_json::to_string(&raw)
            .expect("a record is plain data with text keys, which JSON can always write")
    }

    /// Parses a record and its sequence number.
    pub(crate) fn from_json(text: &[u8]) -> Result<(u64, Self), InvalidSpoolRecord> {
        let RecordFile { format, sequence, experiment, key, started, body } =
            serde_json::from_slice(text)?;
        if format != FORMAT {
            return Err(InvalidSpoolRecord::Format(format));
        }
        let record = match body {
            RecordBody::Open { start, uptime } => {
                Self::Open(Opening { experiment, key, at: started, uptime, start })
            }
            RecordBody::Close { ready, ended, cause, evidence } => {
                let end =
                    AttemptEnd { at: ended, cause: cause.parse::<Cause>()?, evidence: *evidence };
                Self::Close(Box::new(Closing { experiment, key, ready, end, started }))
            }
        };
        Ok((sequence, record))
    }
}

#[cfg(test)]
mod tests;
