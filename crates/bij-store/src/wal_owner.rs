//! Which database file the write-ahead log beside it belongs to.
//!
//! SQLite does not know: it would replay a log into any database at the same path, for example a
//! restored backup (<https://www.sqlite.org/howtocorrupt.html>, "Unlinking or renaming a database file
//! while in use"). So a small file beside the database names the owner of the log, and every open
//! compares it: a log of another database is moved aside before SQLite sees it. A log that was copied
//! together with its database is a new file as well and stays.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use tempfile::NamedTempFile;

/// Maximum length of the owner file in bytes; four numbers of 64 bits are shorter.
const MAX_OWNER_LEN: u64 = 128;

/// A log and the database that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct WalOwner {
    database: FileBirth,
    log: FileBirth,
}

/// Inode of a file and, where the file system knows it, its creation time in nanoseconds: inodes are
/// reused. The device is left out because its number differs from boot to boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileBirth {
    inode: u64,
    nanoseconds: u64,
}

/// Moves the log aside if it belongs to another database than the one at `path`.
///
/// # Errors
/// The system's error; the database must not be opened then.
pub(crate) fn move_foreign_wal_aside(path: &Path, busy_timeout: Duration) -> io::Result<()> {
    if !has_foreign_wal(path)? {
        return Ok(());
    }
    // One process at a time: a second one would move away the new log of the first.
    let lock = open_lock(path)?;
    let started = Instant::now();
    while let Err(fs::TryLockError::WouldBlock) = lock.try_lock() {
        if started.elapsed() >= busy_timeout {
            return Err(io::ErrorKind::TimedOut.into());
        }
        thread::sleep(Duration::from_millis(10));
    }
    if !has_foreign_wal(path)? {
        return Ok(());
    }
    let Some(owner) = read_owner(path)? else { return Ok(()) };
    for suffix in ["-wal", "-shm"] {
        let from = beside(path, suffix);
        let to = beside(path, &format!("{suffix}.of-{}", owner.database.inode));
        match fs::rename(from, to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Records that the current log belongs to the current database.
///
/// # Errors
/// The error of the operating system.
pub(crate) fn record(path: &Path) -> io::Result<()> {
    let (Some(database), Some(log)) = (birth(path)?, birth(&beside(path, "-wal"))?) else {
        return Ok(());
    };
    let owner = WalOwner { database, log };
    if read_owner(path)? == Some(owner) {
        return Ok(());
    }
    // Only its owner may read the file, as the database itself.
    let mut new = NamedTempFile::new_in(path.parent().unwrap_or(path))?;
    let numbers = [database.inode, database.nanoseconds, log.inode, log.nanoseconds];
    writeln!(new, "{}", numbers.map(|number| number.to_string()).join(" "))?;
    new.persist(beside(path, "-owner"))?;
    Ok(())
}

fn has_foreign_wal(path: &Path) -> io::Result<bool> {
    let Some(owner) = read_owner(path)? else { return Ok(false) };
    let (database, log) = (birth(path)?, birth(&beside(path, "-wal"))?);
    Ok(database.is_some_and(|database| database != owner.database) && log == Some(owner.log))
}

fn read_owner(path: &Path) -> io::Result<Option<WalOwner>> {
    let mut text = String::new();
    match File::open(beside(path, "-owner")) {
        Ok(file) => file.take(MAX_OWNER_LEN).read_to_string(&mut text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let numbers: Option<Vec<u64>> =
        text.split_ascii_whitespace().map(|number| number.parse().ok()).collect();
    Ok(match numbers.as_deref() {
        Some([database, database_created, log, log_created]) => Some(WalOwner {
            database: FileBirth { inode: *database, nanoseconds: *database_created },
            log: FileBirth { inode: *log, nanoseconds: *log_created },
        }),
        _ => None,
    })
}

fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(beside(path, "-owner.lock"))
}

fn birth(path: &Path) -> io::Result<Option<FileBirth>> {
    match fs::metadata(path) {
        Ok(file) => {
            let created = file.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            let nanoseconds = created.and_then(|created| u64::try_from(created.as_nanos()).ok());
            let nanoseconds = nanoseconds.unwrap_or_default();
            Ok(Some(FileBirth { inode: file.ino(), nanoseconds }))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the path of a file beside the database: the database's name with a suffix.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
