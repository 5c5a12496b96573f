//! Reading files after a check of their owners and modes.

use std::io::{self, Read as _};
use std::path::Path;

use bij_core::port::{Problem, SourceLocation};
use bij_core::{Authority, Ownership};

use super::walk::{WalkError, Walked, open_trusted, walk};
use crate::MAX_FILE_BYTES;
use crate::source::too_large;

/// The error of a file that cannot be read.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The file is not trusted or cannot be a definition.
    Refused(Problem),
    /// The system reported an error.
    Io(io::Error),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The accounts that are trusted to write a file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FileTrust {
    /// The accounts of an authority.
    Authority(Authority),
    /// The owner of the file, and root.
    Owner,
    /// Any account, because the caller has named the file.
    Any,
}

/// Reads the content of a regular file of up to [`MAX_FILE_BYTES`]; `None` if there is none.
pub(crate) fn read(path: &Path, trust: FileTrust) -> Result<Option<Vec<u8>>, ReadError> {
    Ok(read_owned(path, trust)?.map(|(bytes, _)| bytes))
}

/// Reads a file as [`read`] does and returns its ownership, too.
pub(crate) fn read_owned(
    path: &Path,
    trust: FileTrust,
) -> Result<Option<(Vec<u8>, Ownership)>, ReadError> {
    let walked = match trust {
        FileTrust::Authority(authority) => open_trusted(path, authority),
        FileTrust::Owner => walk(path).and_then(|walked| match walked {
            Some(walked) => {
                Authority::user(walked.ownership.uid).check(&walked.steps)?;
                Ok(Some(walked))
            }
            None => Ok(None),
        }),
        FileTrust::Any => walk(path),
    };
    match walked {
        Ok(None) => Ok(None),
        Ok(Some(walked)) => {
            let ownership = walked.ownership;
            Ok(Some((content(path, walked)?, ownership)))
        }
        Err(error) => Err(refusal(path, error)),
    }
}

fn content(path: &Path, walked: Walked) -> Result<Vec<u8>, ReadError> {
    let Walked { file, len, .. } = walked;
    let max = MAX_FILE_BYTES as u64;
    let mut bytes = Vec::new();
    if len <= max {
        bytes.reserve_exact(usize::try_from(len).unwrap_or(0) + 1);
        // The file may grow while it is read.
        file.take(max + 1).read_to_end(&mut bytes)?;
    }
    if len > max || bytes.len() > MAX_FILE_BYTES {
        return Err(ReadError::Refused(too_large(&path.to_string_lossy())));
    }
    Ok(bytes)
}

fn refusal(path: &Path, error: WalkError) -> ReadError {
    let hint = match &error {
        WalkError::NotAFile(_) => {
            "remove or rename it, and write the definition to a regular file".to_owned()
        }
        WalkError::DanglingLink => "create its target, or remove the link".to_owned(),
        WalkError::TooOpen(error) => error.remedy(),
        WalkError::Io(_) => String::new(),
    };
    match error {
        WalkError::Io(error) => ReadError::Io(error),
        error => ReadError::Refused(problem(path, error.to_string(), Some(hint))),
    }
}

/// Creates a problem of a whole file.
pub(crate) fn problem(path: &Path, message: String, hint: Option<String>) -> Problem {
    let location = SourceLocation { file: path.to_string_lossy().into_owned(), line: None };
    Problem { location, key: None, message, hint }
}
