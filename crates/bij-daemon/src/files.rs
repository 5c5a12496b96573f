//! Files: read without trust, written whole or not at all.
//!
//! The hooks run as root and read files that an experiment controls. So nothing here follows a
//! symbolic link in the last place, waits for a FIFO's other end, or reads more than it was told.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use nix::fcntl::OFlag;

/// The end of a regular file, at most `cap` bytes of it; `None` if there is no such file.
///
/// # Errors
/// What the system says; a link, directory, FIFO or device is `InvalidInput`.
pub(crate) fn read_tail(path: &Path, cap: u64) -> io::Result<Option<Vec<u8>>> {
    let Some((mut file, len)) = open_regular(path)? else { return Ok(None) };
    file.seek(SeekFrom::Start(len.saturating_sub(cap)))?;
    let mut bytes = Vec::new();
    file.take(cap).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// A whole small text file; `None` if there is no such file.
///
/// # Errors
/// As [`read_tail`]; a longer file, or one that is no UTF-8, is `InvalidData`.
pub(crate) fn read_small(path: &Path, cap: u64) -> io::Result<Option<String>> {
    let Some((file, len)) = open_regular(path)? else { return Ok(None) };
    if len > cap {
        let message = format!("{len} bytes are more than the {cap} that it may have");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    let mut text = String::new();
    file.take(cap).read_to_string(&mut text)?;
    Ok(Some(text))
}

fn open_regular(path: &Path) -> io::Result<Option<(File, u64)>> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = match OpenOptions::new().read(true).custom_flags(flags.bits()).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(Some((file, metadata.len())))
}

/// Puts a file in place by renaming, so that a reader sees the old text or the new one; its
/// directory is made if it is missing.
///
/// # Errors
/// What the system says; the target is then as it was.
pub(crate) fn put(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let written = write_beside(directory, path, text, mode);
    match written {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_directory(directory)?;
            write_beside(directory, path, text, mode)
        }
        other => other,
    }
}

fn write_beside(directory: &Path, path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = directory.join(format!(".{name}.{}", std::process::id()));
    let write = || {
        let flags = OFlag::O_NOFOLLOW.bits();
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(mode).custom_flags(flags);
        options.open(&temporary)?.write_all(text.as_bytes())?;
        fs::rename(&temporary, path)
    };
    write().inspect_err(|_| drop(fs::remove_file(&temporary)))
}

/// Makes a directory that everybody may enter, and what is missing above it.
///
/// # Errors
/// What the system says.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(path)
}

/// Removes a file, or the link of that name; one that is not there is no error.
///
/// # Errors
/// What the system says.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_the_end_of_a_long_file_is_read() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("progress");
        fs::write(&path, "x".repeat(100_000) + "step=7\n").unwrap();
        assert_eq!(read_tail(&path, 8).unwrap().unwrap(), b"xstep=7\n");
        assert!(read_small(&path, 8).unwrap_err().to_string().contains("100007 bytes"));
        assert_eq!(read_tail(&room.path().join("none"), 8).unwrap(), None);
    }

    #[test]
    fn links_fifos_and_directories_are_refused_and_nobody_waits() {
        let room = tempfile::tempdir().unwrap();
        let secret = room.path().join("secret");
        fs::write(&secret, "s").unwrap();
        let link = room.path().join("link");
        symlink(&secret, &link).unwrap();
        let fifo = room.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for path in [&link, &fifo, &room.path().to_path_buf()] {
            assert!(read_small(path, 8).is_err(), "{}", path.display());
        }
    }

    #[test]
    fn a_file_is_put_whole_and_never_through_a_link() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("a/b/file.env");
        put(&path, "one", 0o644).unwrap();
        put(&path, "two", 0o600).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        let victim = room.path().join("victim");
        fs::write(&victim, "mine").unwrap();
        let link = room.path().join("link");
        symlink(&victim, &link).unwrap();
        put(&link, "theirs", 0o644).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing left over");
        remove(&link).unwrap();
        remove(&link).unwrap();
        assert!(victim.exists());
    }
}
