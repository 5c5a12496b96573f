//! Putting a whole file into its place at once.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Who may read a file; only its owner writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Everybody may look at what runs on a machine.
    All,
    /// It holds what can be a secret.
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

/// Writes a file that replaces what was there; the directory is made if it is missing.
///
/// After a power cut there is the earlier file or this one, never a piece of one.
pub(crate) fn replace(path: &Path, content: &[u8], readers: Readers) -> io::Result<()> {
    replace_unsettled(path, content, readers)?;
    sync_parent(path)
}

/// As [`replace`], but which of the two there is after a power cut is settled only by
/// [`sync_parent`].
pub(crate) fn replace_unsettled(path: &Path, content: &[u8], readers: Readers) -> io::Result<()> {
    let draft = Draft::write(path, content, readers)?;
    fs::rename(&draft.path, path)?;
    draft.keep();
    Ok(())
}

/// Writes a file where there is none yet; `false` if there is one.
pub(crate) fn create(path: &Path, content: &[u8], readers: Readers) -> io::Result<bool> {
    let draft = Draft::write(path, content, readers)?;
    // A link, unlike a rename, replaces nothing.
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

/// A synced file beside the one that it will become, removed unless it is kept.
struct Draft {
    path: PathBuf,
    kept: bool,
}

impl Draft {
    fn write(target: &Path, content: &[u8], readers: Readers) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let directory = parent(target);
        fs::create_dir_all(directory)?;
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = directory.join(format!(".{name}.{}-{count}.tmp", std::process::id()));
        // A draft of this name can only be what a process of the same number left when it died.
        remove(&path)?;
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(readers.mode()).open(&path)?;
        let draft = Self { path, kept: false };
        file.set_permissions(Permissions::from_mode(readers.mode()))?;
        file.write_all(content)?;
        file.sync_all()?;
        Ok(draft)
    }

    fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            // What is left is hidden and in nobody's way.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Settles what a directory holds.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    File::open(parent(path))?.sync_all()
}
