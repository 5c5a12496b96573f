//! Atomic replacement of files.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// The accounts that may read a file; only its owner may write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    /// All users.
    All,
    /// The owner alone, because the file may contain secrets.
    Owner,
}

impl Readers {
    const fn mode(self) -> u32 {
        match self {
            Self::All => 0o644,
            Self::Owner => 0o600,
        }
    }
}

/// Replaces a file, and creates its directory if necessary.
///
/// After a power cut there is the old file or the new file, never a part of one.
pub(crate) fn replace(path: &Path, content: &[u8], readers: Readers) -> io::Result<()> {
    replace_without_sync(path, content, readers)?;
    sync_parent(path)
}

/// Replaces a file as [`replace`] does, but a power cut can restore the old file until [`sync_parent`].
pub(crate) fn replace_without_sync(
    path: &Path,
    content: &[u8],
    readers: Readers,
) -> io::Result<()> {
    let draft = TemporaryFile::write(path, content, readers)?;
    fs::rename(&draft.path, path)?;
    draft.keep();
    Ok(())
}

/// Creates a file; `false` if there is one already.
pub(crate) fn create(path: &Path, content: &[u8], readers: Readers) -> io::Result<bool> {
    let draft = TemporaryFile::write(path, content, readers)?;
    // Unlike a rename, a hard link never replaces a file.
    match fs::hard_link(&draft.path, path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(error),
    }
    drop(draft);
    sync_parent(path)?;
    Ok(true)
}

/// Removes a file; `false` if there was none.
pub(crate) fn remove(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => sync_parent(path).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// A synced temporary file in the directory of its target; removed on drop unless it is kept.
struct TemporaryFile {
    path: PathBuf,
    is_kept: bool,
}

impl TemporaryFile {
    fn write(target: &Path, content: &[u8], readers: Readers) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let directory = parent(target);
        fs::create_dir_all(directory)?;
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = directory.join(format!(".{name}.{}-{count}.tmp", std::process::id()));
        // A draft of this name can only be left by a dead process with the same id.
        remove(&path)?;
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(readers.mode()).open(&path)?;
        let draft = Self { path, is_kept: false };
        file.set_permissions(Permissions::from_mode(readers.mode()))?;
        file.write_all(content)?;
        file.sync_all()?;
        Ok(draft)
    }

    fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if !self.is_kept {
            // If this fails, a hidden file is left, which is ignored.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Syncs the directory of a file, so that a power cut cannot undo a rename in it.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    File::open(parent(path))?.sync_all()
}
