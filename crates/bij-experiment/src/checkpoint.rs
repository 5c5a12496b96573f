//! Checkpoints with a checksum.
//!
//! A checkpoint is a file `<name>-<number>.ckpt`: one line `bij-checkpoint 1 <length> <checksum>`
//! and then the payload. Length (bytes, decimal) and checksum (FNV-1a, 64 bits, 16 hexadecimal
//! digits) are those of the payload. [`save()`](crate::save()) never leaves an incomplete file under that
//! name; the header also detects damage by a disk or an editor.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::save::{SaveError, SaveStep, save};

const MAGIC: &str = "bij-checkpoint";
const VERSION: &str = "1";
const SUFFIX: &str = ".ckpt";

/// Maximum length of a header: magic, version, 20 digits, 16 digits, three blanks, a newline.
const HEADER_MAX: usize = MAGIC.len() + VERSION.len() + 20 + 16 + 4;

/// Number of checkpoints to keep. The newest may be unreadable, and until it is reported the progress file
/// names the one before it.
const KEPT: usize = 2;

/// The numbered checkpoints of one name in one directory.
#[derive(Debug)]
pub struct Checkpoints {
    directory: PathBuf,
    name: String,
    /// Numbers of files that did not load; they do not count as checkpoints to keep.
    refused: BTreeSet<u64>,
}

/// A checkpoint that loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// File of the checkpoint.
    pub path: PathBuf,
    /// Content that was passed to [`Checkpoints::save`].
    pub payload: Vec<u8>,
}

/// The checkpoint to resume from, as [`Checkpoints::resume`] found it.
#[derive(Debug)]
pub struct ResumePoint {
    /// Checkpoint to resume from; `None` to begin from the start.
    pub checkpoint: Option<Checkpoint>,
    /// Files that were tried first and refused; log them.
    pub refused: Vec<LoadError>,
}

impl Checkpoints {
    /// Uses the checkpoints `<name>-<number>.ckpt` in `directory`, which need not exist yet.
    pub fn new(directory: impl Into<PathBuf>, name: impl Into<String>) -> Self {
        Self { directory: directory.into(), name: name.into(), refused: BTreeSet::new() }
    }

    /// Saves a checkpoint under the next number, then removes all but the newest two that were not refused. Returns
    /// its path, for [`Progress::checkpoint`](crate::Progress::checkpoint).
    ///
    /// # Errors
    /// If it could not be written; the older ones then stay.
    pub fn save(&mut self, payload: &[u8]) -> Result<PathBuf, SaveError> {
        let directory_error =
            |source| SaveError::new(SaveStep::Create, self.directory.clone(), source);
        fs::create_dir_all(&self.directory).map_err(directory_error)?;
        let mut numbers = self.numbers().map_err(directory_error)?;
        let number = numbers.last().map_or(1, |last| last.saturating_add(1));
        let path = self.path_of(number);
        save(&path, &seal(payload))?;
        numbers.push(number);
        self.refused.remove(&number);
        self.remove_old(&numbers);
        Ok(path)
    }

    /// Finds the checkpoint to resume from: `preferred` (the path in `BIJ_RESUME_FROM`) if it loads, else the
    /// newest in this directory that does.
    ///
    /// # Errors
    /// If the directory cannot be listed. A checkpoint that does not load is not an error: it is listed in
    /// [`ResumePoint::refused`], and the next older one is tried.
    pub fn resume(&mut self, preferred: Option<&Path>) -> Result<ResumePoint, ListError> {
        let numbers = self
            .numbers()
            .map_err(|source| ListError { directory: self.directory.clone(), source })?;
        let mut found = ResumePoint { checkpoint: None, refused: Vec::new() };
        let newest_first = numbers.into_iter().rev().map(|number| self.path_of(number));
        let candidates: Vec<_> =
            preferred.map(Path::to_owned).into_iter().chain(newest_first).collect();
        for path in candidates {
            if found.refused.iter().any(|refused| refused.path() == path) {
                continue;
            }
            match load(&path) {
                Ok(payload) => {
                    found.checkpoint = Some(Checkpoint { path, payload });
                    break;
                }
                Err(error) => {
                    if path.parent() == Some(&self.directory) {
                        self.refused.extend(path.file_name().and_then(|name| self.number_of(name)));
                    }
                    found.refused.push(error);
                }
            }
        }
        Ok(found)
    }

    /// Removes all checkpoints, once the work is done.
    ///
    /// # Errors
    /// If the directory cannot be listed or a file in it cannot be removed.
    pub fn remove_all(&mut self) -> Result<(), ListError> {
        let remove = || -> io::Result<()> {
            self.numbers()?.into_iter().try_for_each(|number| fs::remove_file(self.path_of(number)))
        };
        remove().map_err(|source| ListError { directory: self.directory.clone(), source })
    }

    fn path_of(&self, number: u64) -> PathBuf {
        // Padded so that `ls` shows them in order; longer numbers are read as well.
        self.directory.join(format!("{}-{number:06}{SUFFIX}", self.name))
    }

    fn number_of(&self, file_name: &std::ffi::OsStr) -> Option<u64> {
        let rest = file_name.to_str()?.strip_prefix(&self.name)?.strip_prefix('-')?;
        let digits = rest.strip_suffix(SUFFIX)?;
        let number = digits.parse().ok()?;
        // `model-+7.ckpt` and `model-7.ckpt` were not written by this crate.
        (self.path_of(number).file_name() == Some(file_name)).then_some(number)
    }

    /// Returns the numbers in use in ascending order; none if the directory does not exist.
    fn numbers(&self) -> io::Result<Vec<u64>> {
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut numbers = Vec::new();
        for entry in entries {
            numbers.extend(self.number_of(&entry?.file_name()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn remove_old(&self, numbers: &[u64]) {
        let whole = numbers.iter().rev().filter(|number| !self.refused.contains(number));
        let kept: BTreeSet<_> = whole.take(KEPT).collect();
        for number in numbers.iter().filter(|number| !kept.contains(number)) {
            // An old file that stays costs only space; the next save tries again.
            let _ = fs::remove_file(self.path_of(*number));
        }
    }
}

fn seal(payload: &[u8]) -> Vec<u8> {
    let header = format!("{MAGIC} {VERSION} {} {:016x}\n", payload.len(), fnv1a(payload));
    [header.as_bytes(), payload].concat()
}

fn load(path: &Path) -> Result<Vec<u8>, LoadError> {
    let path = || path.to_owned();
    let bytes = fs::read(path()).map_err(|source| LoadError::Read { path: path(), source })?;
    let not_a_checkpoint = || LoadError::NotACheckpoint { path: path() };
    let line_end = bytes.iter().take(HEADER_MAX).position(|byte| *byte == b'\n');
    let (header, payload) = bytes.split_at(line_end.ok_or_else(not_a_checkpoint)?);
    let payload = &payload[1..];

    let words: Vec<_> = std::str::from_utf8(header).unwrap_or_default().split(' ').collect();
    let [MAGIC, version, length, checksum] = words[..] else { return Err(not_a_checkpoint()) };
    if version != VERSION {
        return Err(LoadError::Version { path: path(), found: version.to_owned() });
    }
    let expected: u64 = length.parse().map_err(|_| not_a_checkpoint())?;
    let found = payload.len() as u64;
    if found != expected {
        return Err(LoadError::Length { path: path(), expected, found });
    }
    if format!("{:016x}", fnv1a(payload)) != checksum {
        return Err(LoadError::Checksum { path: path() });
    }
    Ok(payload.to_vec())
}

/// FNV-1a, 64 bits (draft-eastlake-fnv): each step is a bijection of the state, so one changed
/// byte always changes the sum. It detects accidents, not forgery.
fn fnv1a(bytes: &[u8]) -> u64 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    bytes.iter().fold(OFFSET_BASIS, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME))
}

/// Why a file was refused as a checkpoint.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadError {
    /// It could not be read.
    Read {
        /// The refused file's path.
        path: PathBuf,
        /// Error that the system returned.
        source: io::Error,
    },
    /// It has no complete header.
    NotACheckpoint {
        /// The refused file's path.
        path: PathBuf,
    },
    /// It has another version of the format.
    Version {
        /// The refused file's path.
        path: PathBuf,
        /// Version in the header.
        found: String,
    },
    /// It is truncated, or longer than it was.
    Length {
        /// The refused file's path.
        path: PathBuf,
        /// Length of the payload in the header, in bytes.
        expected: u64,
        /// Actual length in bytes.
        found: u64,
    },
    /// Its content is not what was saved.
    Checksum {
        /// The refused file's path.
        path: PathBuf,
    },
}

impl LoadError {
    /// Returns the path of the refused file.
    pub fn path(&self) -> &Path {
        match self {
            Self::Read { path, .. }
            | Self::NotACheckpoint { path }
            | Self::Version { path, .. }
            | Self::Length { path, .. }
            | Self::Checksum { path } => path,
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path().display();
        match self {
            Self::Read { .. } => write!(f, "could not read the checkpoint {path}"),
            Self::NotACheckpoint { .. } => write!(f, "{path} is not a checkpoint, or is truncated"),
            Self::Version { found, .. } => {
                write!(f, "{path} is a checkpoint of version {found:?}, not of version {VERSION}")
            }
            Self::Length { expected, found, .. } => {
                write!(f, "the checkpoint {path} has {found} bytes instead of {expected}")
            }
            Self::Checksum { .. } => write!(f, "the checkpoint {path} is damaged"),
        }
    }
}

impl Error for LoadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// A directory of checkpoints could not be listed or cleared.
#[derive(Debug)]
pub struct ListError {
    directory: PathBuf,
    source: io::Error,
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not list or remove the checkpoints in {}", self.directory.display())
    }
}

impl Error for ListError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

#[cfg(test)]
mod tests;
