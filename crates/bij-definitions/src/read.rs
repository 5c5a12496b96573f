//! Reading files whose word is judged before it counts.

use std::io::{self, Read as _};
use std::path::Path;

use bij_core::definition::{MAX_FILE_BYTES, Place, Problem, too_large};
use bij_core::{Authority, Ownership};

use crate::walk::{WalkError, Walked, open_trusted, walk};

/// Why a file gave no bytes.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// It is nothing that a definition can be.
    Refused(Problem),
    /// The system says no.
    Io(io::Error),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Whose files are read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Whose {
    /// The authority's: a file that others could have written is refused.
    Only(Authority),
    /// The owner's of the file itself: one that another account but root could have written is refused.
    Owners,
    /// The caller has named the file and answers for it.
    Named,
}

/// Reads the content of a regular file of up to [`MAX_FILE_BYTES`]; `None` if there is none.
pub(crate) fn read(path: &Path, whose: Whose) -> Result<Option<Vec<u8>>, ReadError> {
    Ok(read_owned(path, whose)?.map(|(bytes, _)| bytes))
}

/// Reads as [`read`] does, and tells who owns the file.
pub(crate) fn read_owned(
    path: &Path,
    whose: Whose,
) -> Result<Option<(Vec<u8>, Ownership)>, ReadError> {
    let walked = match whose {
        Whose::Only(authority) => open_trusted(path, authority),
        Whose::Owners => walk(path).and_then(|walked| match walked {
            Some(walked) => {
                Authority::user(walked.ownership.uid).judge(&walked.steps)?;
                Ok(Some(walked))
            }
            None => Ok(None),
        }),
        Whose::Named => walk(path),
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
    let most = MAX_FILE_BYTES as u64;
    let mut bytes = Vec::new();
    if len <= most {
        bytes.reserve_exact(usize::try_from(len).unwrap_or(0) + 1);
        // The file may grow while it is read.
        file.take(most + 1).read_to_end(&mut bytes)?;
    }
    if len > most || bytes.len() > MAX_FILE_BYTES {
        return Err(ReadError::Refused(too_large(&path.to_string_lossy())));
    }
    Ok(bytes)
}

fn refusal(path: &Path, error: WalkError) -> ReadError {
    let hint = match &error {
        WalkError::NoFile(_) => {
            "remove or rename it, and write the definition into a plain file".to_owned()
        }
        WalkError::DanglingLink => "make its target, or remove the link".to_owned(),
        WalkError::TooOpen(error) => error.remedy(),
        WalkError::Io(_) => String::new(),
    };
    match error {
        WalkError::Io(error) => ReadError::Io(error),
        error => ReadError::Refused(problem(path, error.to_string(), Some(hint))),
    }
}

/// A problem of a file as a whole.
pub(crate) fn problem(path: &Path, message: String, hint: Option<String>) -> Problem {
    let place = Place { file: path.to_string_lossy().into_owned(), line: None };
    Problem { place, key: None, message, hint }
}
