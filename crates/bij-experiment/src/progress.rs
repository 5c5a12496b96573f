//! The progress line in `$BIJ_PROGRESS`.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::save::{Durability, SaveError, write_beside_and_rename};

/// Progress of the experiment: the line `step=120 total=1000 checkpoint=PATH`.
///
/// ```
/// # use bij_experiment::Progress;
/// let progress = Progress::at(120).total(1000).checkpoint("/var/lib/x/model 7.ckpt");
/// assert_eq!(progress.line()?, "step=120 total=1000 checkpoint=/var/lib/x/model 7.ckpt");
/// # Ok::<(), bij_experiment::ReportError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    step: u64,
    total: Option<u64>,
    checkpoint: Option<PathBuf>,
}

impl Progress {
    /// Progress after `step` steps.
    pub const fn at(step: u64) -> Self {
        Self { step, total: None, checkpoint: None }
    }

    /// Sets the total number of steps.
    #[must_use]
    pub const fn total(mut self, total: u64) -> Self {
        self.total = Some(total);
        self
    }

    /// Sets the newest complete checkpoint, which the next attempt gets as `BIJ_RESUME_FROM`. Repeat it in
    /// every report: a report without a checkpoint means that there is none.
    #[must_use]
    pub fn checkpoint(mut self, path: impl Into<PathBuf>) -> Self {
        self.checkpoint = Some(path.into());
        self
    }

    /// Returns the line without its newline. The checkpoint comes last because its path may contain blanks.
    ///
    /// # Errors
    /// If bij could not read the path back: it is not UTF-8, contains a control character, begins or ends
    /// with a blank, or contains a word that looks like a key.
    pub fn line(&self) -> Result<String, ReportError> {
        let step = format!("step={}", self.step);
        let total = self.total.map(|total| format!("total={total}"));
        let checkpoint = self.checkpoint.as_deref().map(checked_path).transpose()?;
        let checkpoint = checkpoint.map(|path| format!("checkpoint={path}"));
        let parts: Vec<_> = [Some(step), total, checkpoint].into_iter().flatten().collect();
        Ok(parts.join(" "))
    }

    /// Replaces the progress file atomically. A line with a checkpoint must survive a power cut as the
    /// checkpoint does; without one it does not wait for the disk.
    pub(crate) fn write_to(&self, file: &Path) -> Result<(), ReportError> {
        let line = self.line()? + "\n";
        let durability = match self.checkpoint {
            Some(_) => Durability::PowerCut,
            None => Durability::ProcessEnd,
        };
        write_beside_and_rename(file, line.as_bytes(), durability).map_err(ReportError::Save)
    }
}

/// The keys that end a value when they follow a blank. `text=` is free text for users;
/// [`Attempt::status`](crate::Attempt::status) replaces it here.
const KEYS: [&str; 4] = ["step=", "total=", "text=", "checkpoint="];

fn checked_path(path: &Path) -> Result<&str, ReportError> {
    let invalid = || ReportError::InvalidPath { path: path.to_owned() };
    let text = path.to_str().ok_or_else(invalid)?;
    let looks_like_a_key = |word: &str| KEYS.iter().any(|key| word.starts_with(key));
    let ambiguous = text.is_empty()
        || text.trim() != text
        || text.contains(char::is_control)
        || text.split(char::is_whitespace).any(looks_like_a_key);
    if ambiguous { Err(invalid()) } else { Ok(text) }
}

/// Why progress could not be reported.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReportError {
    /// bij could not read the checkpoint's path back from the line.
    InvalidPath {
        /// Path of the checkpoint.
        path: PathBuf,
    },
    /// The progress file could not be replaced.
    Save(SaveError),
}

impl fmt::Display for ReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidPath { path } => write!(
                f,
                "the checkpoint's path {:?} cannot be written on a progress line: rename it without \
                 control characters, outer blanks or words such as step=",
                path.to_string_lossy()
            ),
            Self::Save(_) => f.write_str("could not report progress"),
        }
    }
}

impl Error for ReportError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::InvalidPath { .. } => None,
            Self::Save(source) => Some(source),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[test]
    fn unset_parts_are_left_out() {
        assert_eq!(Progress::at(3).line().unwrap(), "step=3");
        assert_eq!(Progress::at(3).total(9).line().unwrap(), "step=3 total=9");
        assert_eq!(Progress::at(3).checkpoint("/c").line().unwrap(), "step=3 checkpoint=/c");
    }

    #[test]
    fn a_path_that_could_not_be_read_back_is_refused() {
        let bad: [&[u8]; 8] =
            [b"", b" /c", b"/c ", b"/a\nstep=9", b"/a\tb\0", b"/a step=9", b"/\xff", b"/a\xc2\x85"];
        for path in bad {
            let progress = Progress::at(1).checkpoint(OsStr::from_bytes(path));
            assert!(matches!(progress.line(), Err(ReportError::InvalidPath { .. })), "{path:?}");
        }
        assert!(Progress::at(1).checkpoint("/a=b/step=3 of 9/ü.ckpt").line().is_ok());
    }
}
