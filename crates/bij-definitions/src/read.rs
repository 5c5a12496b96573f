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
    // The usual cases take one call for a file that is not there and no look beforehand for one
    // that is: a boot asks for thousands.
    match open(path, OFlag::O_NOFOLLOW) {
        Ok(file) => content(path, file).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(_) if path.is_symlink() => read_link(path).map(Some),
        // A socket cannot be opened at all.
        Err(error) => match path.symlink_metadata() {
            Ok(metadata) => regular(path, &metadata).and(Err(error.into())),
            Err(_) => Err(error.into()),
        },
    }
}

/// The content of a symbolic link's target.
///
/// A link may lead anywhere, and opening some devices has effects (a watchdog is armed): it is
/// looked at first.
fn read_link(path: &Path) -> Result<Vec<u8>, ReadError> {
    let target = match path.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let hint = "make its target, or remove the link";
            return Err(refused(path, "is a symbolic link to a file that is not there", hint));
        }
        target => target?,
    };
    regular(path, &target)?;
    content(path, open(path, OFlag::empty())?)
}

/// Opens without waiting, which a pipe would do for a writer.
fn open(path: &Path, flags: OFlag) -> io::Result<File> {
    let flags = flags | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)
}

fn content(path: &Path, file: File) -> Result<Vec<u8>, ReadError> {
    let metadata = file.metadata()?;
    regular(path, &metadata)?;
    let most = MAX_FILE_BYTES as u64;
    let mut bytes = Vec::new();
    if metadata.len() <= most {
        bytes.reserve_exact(usize::try_from(metadata.len()).unwrap_or(0) + 1);
        // The file may grow while it is read.
        file.take(most + 1).read_to_end(&mut bytes)?;
    }
    if metadata.len() > most || bytes.len() > MAX_FILE_BYTES {
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
