//! Writes drop-ins to disk, as a whole or not at all.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use bij_core::Outcome;
use bij_host::files;

/// Largest drop-in that is compared, in bytes; a definition has at most a megabyte.
const MAX_LEN: u64 = 4 << 20;

/// Replaces a drop-in by renaming a file over it, so that the service manager reads the old text or
/// the new one, even if the writer is killed.
///
/// Its mode is 0644, independent of the umask. A drop-in with the same text is not touched, because systemd takes
/// a new date for a change on disk.
///
/// # Errors
/// The error of the system; the drop-in is then unchanged.
pub(super) fn put_drop_in(path: &Path, text: &str) -> io::Result<Outcome> {
    if matches!(files::read_small(path, MAX_LEN), Ok(Some(there)) if there == text) {
        return Ok(Outcome::Unchanged);
    }
    if ensure_directory(path)? == Outcome::Unchanged {
        remove_leftover_drafts(path);
    }
    files::put(path, text.as_bytes(), 0o644)?;
    Ok(Outcome::Changed)
}

/// Makes the directory of a drop-in, with mode 0755 independent of the umask: `UMask=` of the unit also applies to its
/// hooks.
fn ensure_directory(path: &Path) -> io::Result<Outcome> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    if directory.is_dir() {
        return Ok(Outcome::Unchanged);
    }
    files::make_directory(directory)?;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755))?;
    Ok(Outcome::Changed)
}

/// Removes a drop-in, and its directory if that is then empty.
///
/// # Errors
/// The error of the system; a missing drop-in is no error.
pub(crate) fn remove_drop_in(path: &Path) -> io::Result<Outcome> {
    let outcome = match fs::remove_file(path) {
        Ok(()) => Outcome::Changed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Outcome::Unchanged,
        Err(error) => return Err(error),
    };
    remove_leftover_drafts(path);
    if let Some(directory) = path.parent() {
        // This fails, as intended, if an operator has drop-ins there.
        drop(fs::remove_dir(directory));
    }
    Ok(outcome)
}

/// Removes the temporary files that killed writers have left beside a drop-in. Their names do not end in `.conf`, so
/// systemd ignores them (systemd.unit(5)).
fn remove_leftover_drafts(path: &Path) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let prefix = format!(".{name}.");
    let directory = path.parent().unwrap_or(Path::new("/"));
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            drop(fs::remove_file(entry.path()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_drop_in_is_replaced_whole_and_temporary_files_are_removed() {
        let tree = tempfile::tempdir().unwrap();
        let path = tree.path().join("x.service.d/10-experiment.conf");
        assert_eq!(put_drop_in(&path, "one").unwrap(), Outcome::Changed);
        assert_eq!(put_drop_in(&path, "one").unwrap(), Outcome::Unchanged);
        fs::write(path.with_file_name(".10-experiment.conf.x1y2z3"), "half").unwrap();
        assert_eq!(put_drop_in(&path, "two").unwrap(), Outcome::Changed);
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o644);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_in_its_place_is_replaced_and_not_followed() {
        let tree = tempfile::tempdir().unwrap();
        let (victim, path) = (tree.path().join("victim"), tree.path().join("10-experiment.conf"));
        fs::write(&victim, "mine").unwrap();
        symlink(&victim, &path).unwrap();
        put_drop_in(&path, "text").unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
        assert!(path.symlink_metadata().unwrap().is_file());
    }

    #[test]
    fn an_operators_own_drop_in_outlives_ours() {
        let tree = tempfile::tempdir().unwrap();
        let path = tree.path().join("x.service.d/10-experiment.conf");
        put_drop_in(&path, "text").unwrap();
        fs::write(path.with_file_name("override.conf"), "theirs").unwrap();
        assert_eq!(remove_drop_in(&path).unwrap(), Outcome::Changed);
        assert_eq!(remove_drop_in(&path).unwrap(), Outcome::Unchanged);
        assert!(path.with_file_name("override.conf").exists());
        fs::remove_file(path.with_file_name("override.conf")).unwrap();
        remove_drop_in(&path).unwrap();
        assert!(!path.parent().unwrap().exists());
    }
}
