//! Replaces files atomically and durably.

use std::error::Error;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Replaces the file at `path` by `contents`, atomically and durably.
///
/// A reader of `path` finds the old contents or the new ones at any time, also after a power cut, never a
/// part. When this returns, the new contents are on the disk. It writes `<path>.tmp` in the same directory,
/// calls fsync(2), renames it over the old file with rename(2), and calls fsync on the directory: "Calling
/// `fsync()` does not necessarily ensure that the entry in the directory containing the file has also reached
/// disk" (fsync(2)). The temporary file of a killed process is overwritten by the next call.
///
/// Two writers must not save to the same `path` at the same time.
///
/// # Errors
/// [`SaveError`] with the [`SaveStep`] that failed. The old file is then still in place; after
/// [`SaveStep::SyncDirectory`] the new one is, but a power cut may undo that.
pub fn save(path: &Path, contents: &[u8]) -> Result<(), SaveError> {
    write_beside_and_rename(path, contents, Durability::PowerCut)
}

/// The event that a written file must survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// The end of the process at any moment.
    ProcessEnd,
    /// A power cut of the machine.
    PowerCut,
}

pub(crate) fn write_beside_and_rename(
    path: &Path,
    contents: &[u8],
    durability: Durability,
) -> Result<(), SaveError> {
    let temporary = temporary_beside(path);
    let written = write_and_rename(path, &temporary, contents, durability);
    if written.is_err() {
        // Frees the space on a full disk. The caller gets the first error.
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn write_and_rename(
    path: &Path,
    temporary: &Path,
    contents: &[u8],
    durability: Durability,
) -> Result<(), SaveError> {
    let failed = |step, at: &Path| {
        let at = at.to_owned();
        move |source| SaveError::new(step, at, source)
    };
    let mut file = File::create(temporary).map_err(failed(SaveStep::Create, temporary))?;
    file.write_all(contents).map_err(failed(SaveStep::Write, temporary))?;
    if durability == Durability::PowerCut {
        file.sync_all().map_err(failed(SaveStep::Sync, temporary))?;
    }
    drop(file);
    fs::rename(temporary, path).map_err(failed(SaveStep::Rename, path))?;
    if durability == Durability::PowerCut {
        let directory = directory_of(path);
        sync_directory(directory).map_err(failed(SaveStep::SyncDirectory, directory))?;
    }
    Ok(())
}

fn temporary_beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    match File::open(directory)?.sync_all() {
        // fsync(2): EINVAL if the file system cannot do it for directories.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        synced => synced,
    }
}

/// Why a file could not be saved.
#[derive(Debug)]
pub struct SaveError {
    /// The step that failed.
    pub step: SaveStep,
    /// File or directory of the failed step.
    pub path: PathBuf,
    source: io::Error,
}

/// The steps of [`save()`], in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaveStep {
    /// Creating the temporary file.
    Create,
    /// Writing the temporary file.
    Write,
    /// Waiting until the content is on the disk.
    Sync,
    /// Renaming the temporary file over the old one.
    Rename,
    /// Waiting until the directory entry is on the disk.
    SyncDirectory,
}

impl SaveError {
    pub(crate) fn new(step: SaveStep, path: PathBuf, source: io::Error) -> Self {
        Self { step, path, source }
    }
}

impl fmt::Display for SaveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.step {
            SaveStep::Create => "create",
            SaveStep::Write => "write",
            SaveStep::Sync | SaveStep::SyncDirectory => "sync",
            SaveStep::Rename => "replace",
        };
        write!(f, "could not {verb} {}", self.path.display())
    }
}

impl Error for SaveError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_contents_replace_the_old_ones_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        save(&path, b"first").unwrap();
        save(&path, b"2nd").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"2nd");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_temporary_file_of_a_killed_writer_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        fs::write(dir.path().join("state.tmp"), b"a long torn leftover").unwrap();
        save(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert!(!dir.path().join("state.tmp").exists());
    }

    #[test]
    fn a_failure_names_step_and_path_and_keeps_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("no/such/directory/state");
        let error = save(&missing, b"x").unwrap_err();
        assert_eq!(error.step, SaveStep::Create);
        assert!(error.to_string().ends_with("state.tmp"), "{error}");

        let occupied = dir.path().join("occupied");
        fs::create_dir(&occupied).unwrap();
        fs::write(occupied.join("inside"), b"kept").unwrap();
        assert_eq!(save(&occupied, b"x").unwrap_err().step, SaveStep::Rename);
        assert_eq!(fs::read(occupied.join("inside")).unwrap(), b"kept");
        assert!(!dir.path().join("occupied.tmp").exists());
    }

    #[test]
    fn a_bare_file_name_has_the_working_directory_as_its_directory() {
        assert_eq!(directory_of(Path::new("state")), Path::new("."));
        assert_eq!(directory_of(Path::new("a/state")), Path::new("a"));
    }

    #[test]
    fn a_reader_never_sees_a_part() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let contents = [vec![b'a'; 70_000], vec![b'b'; 50_000]];
        save(&path, &contents[0]).unwrap();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for turn in 0..200 {
                    write_beside_and_rename(&path, &contents[turn % 2], Durability::ProcessEnd)
                        .unwrap();
                }
            });
            while !writer.is_finished() {
                let seen = fs::read(&path).unwrap();
                assert!(contents.contains(&seen), "a part of {} bytes", seen.len());
            }
        });
    }
}
