//! Atomic replacement of files.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

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
    let draft = draft(path, content, readers)?;
    draft.as_file().sync_all()?;
    draft.persist(path)?;
    Ok(())
}

/// Replaces a file that a reboot removes, so that nothing is synced. Every user may read it.
pub(crate) fn replace_volatile(path: &Path, content: &[u8]) -> io::Result<()> {
    draft(path, content, Readers::All)?.persist(path)?;
    Ok(())
}

/// Creates a file; `false` if there is one already.
pub(crate) fn create(path: &Path, content: &[u8], readers: Readers) -> io::Result<bool> {
    let draft = draft(path, content, readers)?;
    draft.as_file().sync_all()?;
    match draft.persist_noclobber(path) {
        Ok(_) => sync_parent(path).map(|()| true),
        Err(refused) if refused.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(refused) => Err(refused.error),
    }
}

/// Removes a file; `false` if there was none.
pub(crate) fn remove(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => sync_parent(path).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Writes a temporary file in the directory of its target, which is created if necessary.
fn draft(target: &Path, content: &[u8], readers: Readers) -> io::Result<NamedTempFile> {
    let directory = parent(target);
    fs::create_dir_all(directory)?;
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    // Errors then name no temporary file.
    let open = |path: &Path| OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut draft =
        Builder::new().prefix(&format!(".{name}.")).suffix(".tmp").make_in(directory, open)?;
    // Independent of the umask.
    draft.as_file().set_permissions(Permissions::from_mode(readers.mode()))?;
    draft.as_file_mut().write_all(content)?;
    Ok(draft)
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Syncs the directory of a file, so that a power cut cannot undo a rename in it.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    File::open(parent(path))?.sync_all()
}
