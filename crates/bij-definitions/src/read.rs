//! Reading files that anybody may have put there.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use bij_core::definition::{MAX_FILE_BYTES, Place, Problem, too_large};
use nix::fcntl::OFlag;

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

/// The content of a regular file of up to [`MAX_FILE_BYTES`]; `None` if there is none.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, ReadError> {
    let here = match path.symlink_metadata() {
        Ok(here) => here,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if here.is_symlink() {
        match path.metadata() {
            Ok(target) => regular(path, &target)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let hint = "make its target, or remove the link";
                return Err(refused(path, "is a symbolic link to a file that is not there", hint));
            }
            Err(error) => return Err(error.into()),
        }
    } else {
        // Opening some devices has effects (a watchdog is armed), so look before.
        regular(path, &here)?;
    }
    // Should it have become a pipe meanwhile, opening it must not wait for a writer.
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = match OpenOptions::new().read(true).custom_flags(flags.bits()).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let metadata = file.metadata()?;
    regular(path, &metadata)?;
    content(path, file, &metadata).map(Some)
}

fn content(path: &Path, file: File, metadata: &Metadata) -> Result<Vec<u8>, ReadError> {
    let most = MAX_FILE_BYTES as u64;
    if metadata.len() > most {
        return Err(ReadError::Refused(too_large(&path.to_string_lossy())));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1);
    // The file may grow while it is read.
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_FILE_BYTES {
        return Err(ReadError::Refused(too_large(&path.to_string_lossy())));
    }
    Ok(bytes)
}

fn regular(path: &Path, metadata: &Metadata) -> Result<(), ReadError> {
    let kind = metadata.file_type();
    if kind.is_file() {
        return Ok(());
    }
    let what = if kind.is_dir() {
        "is a directory, expected a file"
    } else if kind.is_fifo() {
        "is a named pipe, expected a file"
    } else if kind.is_socket() {
        "is a socket, expected a file"
    } else {
        "is a device, expected a file"
    };
    Err(refused(path, what, "remove or rename it, and write the definition into a plain file"))
}

fn refused(path: &Path, message: &str, hint: &str) -> ReadError {
    ReadError::Refused(Problem {
        place: Place { file: path.to_string_lossy().into_owned(), line: None },
        key: None,
        message: message.to_owned(),
        hint: Some(hint.to_owned()),
    })
}
