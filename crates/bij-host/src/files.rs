//! Reads files without trust, and writes them as a whole or not at all.
//!
//! The hooks run as root and read files that an experiment controls. So no function here blocks on a FIFO or reads more
//! than a given length, and the owner of a file is checked before it is read.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::Path;

use bij_core::Layout;
use bij_definition::{WalkError, authority, open_trusted};
use nix::fcntl::OFlag;
use nix::unistd::Uid;

/// Reads a small text file of bij's own; `None` if there is no such file.
///
/// # Errors
/// The error of the system; a file that another account than the layout's could have written is `PermissionDenied`, a
/// file that is longer than `cap` or no UTF-8 is `InvalidData`.
pub fn read_own(path: &Path, cap: u64, layout: &Layout) -> io::Result<Option<String>> {
    let Some(walked) = open_trusted(path, authority(layout)).map_err(io_error)? else {
        return Ok(None);
    };
    text(walked.file, walked.len, cap).map(Some)
}

fn io_error(error: WalkError) -> io::Error {
    match error {
        WalkError::Io(error) => error,
        WalkError::TooOpen(error) => {
            let message = format!("{error}; {}", error.remedy());
            io::Error::new(io::ErrorKind::PermissionDenied, message)
        }
        error => io::Error::new(io::ErrorKind::InvalidInput, error.to_string()),
    }
}

/// Reads a small text file without checking its owner; `None` if there is no such file.
///
/// # Errors
/// The error of the system; a file that is longer than `cap` or no UTF-8 is `InvalidData`.
pub fn read_small(path: &Path, cap: u64) -> io::Result<Option<String>> {
    let Some((file, len)) = open_regular(path)? else { return Ok(None) };
    text(file, len, cap).map(Some)
}

fn text(file: File, len: u64, cap: u64) -> io::Result<String> {
    if len > cap {
        let message = format!("{len} bytes are more than the {cap} that are allowed");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    let mut text = String::new();
    file.take(cap).read_to_string(&mut text)?;
    Ok(text)
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

/// Replaces a file by renaming, so that a reader sees the old text or the new one. Makes its directory if it is missing.
///
/// # Errors
/// The error of the system; the target is then unchanged.
pub fn put(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    Draft { path, content, mode, owner: None }.put_in(None)
}

/// As [`put`], for a file that only `owner` and root can read, in a directory that other users cannot list.
///
/// # Errors
/// The error of the system; the target is then unchanged.
pub fn put_for(owner: Uid, path: &Path, content: &[u8]) -> io::Result<()> {
    Draft { path, content, mode: 0o400, owner: Some(owner) }.put_in(Some(0o711))
}

/// As [`put`], for a file that all users could read, in a directory that only root can enter.
///
/// # Errors
/// The error of the system; the target is then unchanged.
pub fn put_sealed(path: &Path, content: &[u8]) -> io::Result<()> {
    Draft { path, content, mode: 0o444, owner: None }.put_in(Some(0o700))
}

/// A file to write beside its target and then rename.
struct Draft<'a> {
    path: &'a Path,
    content: &'a [u8],
    mode: u32,
    /// The owner of the file; `None` for the user of this process.
    owner: Option<Uid>,
}

impl Draft<'_> {
    fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    /// Replaces the target. Makes its directory if it is missing, with exactly `directory_mode` if that is given,
    /// independent of the umask.
    fn put_in(&self, directory_mode: Option<u32>) -> io::Result<()> {
        match self.put() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let directory = self.directory();
                make_directory(directory)?;
                if let Some(mode) = directory_mode {
                    fs::set_permissions(directory, Permissions::from_mode(mode))?;
                }
                self.put()
            }
            other => other,
        }
    }

    fn put(&self) -> io::Result<()> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let mut file =
            tempfile::Builder::new().prefix(&format!(".{name}.")).tempfile_in(self.directory())?;
        file.write_all(self.content)?;
        // Set the mode explicitly, because the unit's umask also applies to its hooks.
        file.as_file().set_permissions(Permissions::from_mode(self.mode))?;
        if let Some(owner) = self.owner {
            fchown(file.as_file(), Some(owner.as_raw()), None)?;
        }
        file.persist(self.path)?;
        Ok(())
    }
}

/// Makes a directory and its missing parents. Other users may pass through it to files of their own, but not list it.
///
/// # Errors
/// The error of the system.
pub fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o711).create(path)
}

/// As [`make_directory`]; also removes rights of other users that an older version granted.
///
/// # Errors
/// The error of the system.
pub fn make_closed_directory(path: &Path) -> io::Result<()> {
    make_directory(path)?;
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o066 != 0 {
        fs::set_permissions(path, Permissions::from_mode(0o711))?;
    }
    Ok(())
}

/// Opens a lock file; makes it if it is missing. Only its owner can open it, because a user who can open a file can also
/// lock it.
///
/// # Errors
/// The error of the system.
pub fn open_lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits());
    let file = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_directory(path.parent().unwrap_or(Path::new("/")))?;
            options.open(path)?
        }
        opened => opened?,
    };
    // An older version made it accessible to all users.
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

/// Removes a file or a link. A missing file is no error.
///
/// # Errors
/// The error of the system.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_file_that_is_too_long_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("progress");
        fs::write(&path, "x".repeat(100_000) + "step=7\n").unwrap();
        assert!(read_small(&path, 8).unwrap_err().to_string().contains("100007 bytes"));
        assert_eq!(read_small(&directory.path().join("none"), 8).unwrap(), None);
    }

    #[test]
    fn links_fifos_and_directories_are_refused_without_blocking() {
        let directory = tempfile::tempdir().unwrap();
        let secret = directory.path().join("secret");
        fs::write(&secret, "s").unwrap();
        let link = directory.path().join("link");
        symlink(&secret, &link).unwrap();
        let fifo = directory.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let layout = Layout::system(directory.path());
        for path in [&link, &fifo, &directory.path().to_path_buf()] {
            assert!(read_small(path, 8).is_err(), "{}", path.display());
        }
        assert!(read_own(&fifo, 8, &layout).is_err());
        assert_eq!(read_own(&secret, 8, &layout).unwrap().as_deref(), Some("s"));
    }

    #[test]
    fn a_file_that_others_could_have_written_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("order");
        fs::write(&path, "s").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        let error = read_own(&path, 8, &Layout::system(directory.path())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert!(error.to_string().contains("chmod o-w"), "{error}");
    }

    #[test]
    fn a_file_is_replaced_whole_and_links_are_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b/file.env");
        put(&path, b"one", 0o644).unwrap();
        put(&path, b"two", 0o600).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        let victim = directory.path().join("victim");
        fs::write(&victim, "mine").unwrap();
        let link = directory.path().join("link");
        symlink(&victim, &link).unwrap();
        put(&link, b"theirs", 0o644).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing left over");
        remove(&link).unwrap();
        remove(&link).unwrap();
        assert!(victim.exists());
    }

    #[test]
    fn a_file_for_one_user_is_not_accessible_to_others() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("environments/x");
        put_for(nix::unistd::geteuid(), &path, b"A=1\0").unwrap();
        put_for(nix::unistd::geteuid(), &path, b"A=2\0").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"A=2\0");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o400, 0o711));
    }
}
