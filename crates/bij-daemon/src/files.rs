//! Files: read without trust, written whole or not at all.
//!
//! The hooks run as root and read files that an experiment controls. So nothing here waits for a FIFO's
//! other end, or reads more than it was told; and whose word a file is, is judged before it is read.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::Path;

use bij_core::{Layout, PathStepKind};
use bij_definitions::{WalkError, Walked, authority, open_trusted, walk};
use nix::fcntl::OFlag;
use nix::unistd::Uid;

/// The end of a regular file, at most `cap` bytes of it; `None` if there is no such file.
///
/// The file is read only if it belongs to the owner of its directory: otherwise a hard link would show
/// another account's file as the experiment's own.
///
/// # Errors
/// What the system says; a link, directory, FIFO or device is `InvalidInput`.
pub(crate) fn read_tail(path: &Path, cap: u64) -> io::Result<Option<Vec<u8>>> {
    let Some(Walked { mut file, len, ownership, steps }) = walk(path).map_err(io_error)? else {
        return Ok(None);
    };
    let holder = steps.iter().rev().find(|step| step.kind == PathStepKind::Directory);
    let is_link = steps.iter().any(|step| step.kind == PathStepKind::Link && step.path == path);
    if is_link || holder.is_none_or(|holder| holder.ownership.uid != ownership.uid) {
        let message = format!("it belongs to uid {}, its directory does not", ownership.uid);
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    file.seek(SeekFrom::Start(len.saturating_sub(cap)))?;
    let mut bytes = Vec::new();
    file.take(cap).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// A whole small text file of ours; `None` if there is no such file.
///
/// # Errors
/// What the system says; a file that another account than the layout's could have written is
/// `PermissionDenied`, one that is longer or no UTF-8 is `InvalidData`.
pub(crate) fn read_own(path: &Path, cap: u64, layout: &Layout) -> io::Result<Option<String>> {
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

/// A whole small text file of the kernel's; `None` if there is no such file.
///
/// # Errors
/// What the system says; a longer file, or one that is no UTF-8, is `InvalidData`.
pub(crate) fn read_small(path: &Path, cap: u64) -> io::Result<Option<String>> {
    let Some((file, len)) = open_regular(path)? else { return Ok(None) };
    text(file, len, cap).map(Some)
}

fn text(file: File, len: u64, cap: u64) -> io::Result<String> {
    if len > cap {
        let message = format!("{len} bytes are more than the {cap} that it may have");
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

/// Puts a file in place by renaming, so that a reader sees the old text or the new one; its
/// directory is made if it is missing.
///
/// # Errors
/// What the system says; the target is then as it was.
pub(crate) fn put(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    Draft { path, content, mode, owner: None }.put_in(None)
}

/// As [`put`], a file that only this user and root can read, in a directory that nobody can list.
///
/// # Errors
/// What the system says; the target is then as it was.
pub(crate) fn put_for(owner: Uid, path: &Path, content: &[u8]) -> io::Result<()> {
    Draft { path, content, mode: 0o400, owner: Some(owner) }.put_in(Some(0o711))
}

/// As [`put`], a file that every user could read, in a directory that only root can enter.
///
/// # Errors
/// What the system says; the target is then as it was.
pub(crate) fn put_sealed(path: &Path, content: &[u8]) -> io::Result<()> {
    Draft { path, content, mode: 0o444, owner: None }.put_in(Some(0o700))
}

/// A file to be written beside the one that it will become.
struct Draft<'a> {
    path: &'a Path,
    content: &'a [u8],
    mode: u32,
    /// The user that it is given to; the caller's if absent.
    owner: Option<Uid>,
}

impl Draft<'_> {
    fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    /// Puts the file in place; makes its directory if it is missing, with exactly this mode where one is
    /// given, whatever the umask of the unit is.
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
        let temporary = self.directory().join(format!(".{name}.{}", std::process::id()));
        // What a process of the same number left when it was killed may have another mode and owner.
        remove(&temporary)?;
        let write = || {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(self.mode);
            let mut file = options.open(&temporary)?;
            // The unit's umask holds for its hooks too.
            file.set_permissions(Permissions::from_mode(self.mode))?;
            file.write_all(self.content)?;
            if let Some(owner) = self.owner {
                fchown(&file, Some(owner.as_raw()), None)?;
            }
            fs::rename(&temporary, self.path)
        };
        write().inspect_err(|_| drop(fs::remove_file(&temporary)))
    }
}

/// Makes a directory, and what is missing above it. Others may pass through to what lies below and is
/// theirs, but see nothing of what is there.
///
/// # Errors
/// What the system says.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o711).create(path)
}

/// As [`make_directory`]; takes from others what an older version gave them.
///
/// # Errors
/// What the system says.
pub(crate) fn make_closed_directory(path: &Path) -> io::Result<()> {
    make_directory(path)?;
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o066 != 0 {
        fs::set_permissions(path, Permissions::from_mode(0o711))?;
    }
    Ok(())
}

/// Opens a lock file, which is made if it is missing. Only its owner can open it: what others can open
/// they can lock.
///
/// # Errors
/// What the system says.
pub(crate) fn open_lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits());
    let file = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_directory(path.parent().unwrap_or(Path::new("/")))?;
            options.open(path)?
        }
        opened => opened?,
    };
    // An older version has left it open to all.
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
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
    use std::os::unix::fs::{PermissionsExt as _, symlink};

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
        let layout = Layout::system(room.path());
        for path in [&link, &fifo, &room.path().to_path_buf()] {
            assert!(read_small(path, 8).is_err(), "{}", path.display());
            assert!(read_tail(path, 8).is_err(), "{}", path.display());
        }
        assert!(read_own(&fifo, 8, &layout).is_err());
        assert_eq!(read_own(&secret, 8, &layout).unwrap().as_deref(), Some("s"));
    }

    #[test]
    fn what_others_could_have_written_is_not_read() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("order");
        fs::write(&path, "s").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        let error = read_own(&path, 8, &Layout::system(room.path())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert!(error.to_string().contains("chmod o-w"), "{error}");
        assert_eq!(
            read_tail(&path, 8).unwrap().unwrap(),
            b"s",
            "an experiment's is its own affair"
        );
    }

    #[test]
    fn a_file_is_put_whole_and_never_through_a_link() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("a/b/file.env");
        put(&path, b"one", 0o644).unwrap();
        put(&path, b"two", 0o600).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        let victim = room.path().join("victim");
        fs::write(&victim, "mine").unwrap();
        let link = room.path().join("link");
        symlink(&victim, &link).unwrap();
        put(&link, b"theirs", 0o644).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing left over");
        remove(&link).unwrap();
        remove(&link).unwrap();
        assert!(victim.exists());
    }

    #[test]
    fn a_file_for_one_user_is_closed_to_all_others() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("environments/x");
        put_for(nix::unistd::geteuid(), &path, b"A=1\0").unwrap();
        put_for(nix::unistd::geteuid(), &path, b"A=2\0").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"A=2\0");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o400, 0o711));
    }
}
