//! The write-ahead log and its index belong to one database, which SQLite cannot tell: put beside
//! another database, for example a backup that was put back, it would replay them into that one
//! (<https://www.sqlite.org/howtocorrupt.html>, "Unlinking or renaming a database file while in use").
//!
//! A small file beside the database says which file the log belongs to. Whenever a database is
//! opened to write it is compared: a log that was another database's is moved aside before SQLite
//! sees it. A log that came together with its database, as in a copy of the whole directory, is
//! another file itself and stays.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

/// Longer than four numbers of 64 bits.
const LONGEST_MARK: u64 = 128;

/// Which database's log lies here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    database: Birth,
    log: Birth,
}

/// A file by its inode and, where the file system knows it, the nanosecond of its making: inodes are
/// used again. The device is left out, because its number differs from boot to boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Birth {
    inode: u64,
    nanoseconds: u64,
}

/// Moves the log aside if it belongs to another database than the one at `path`.
///
/// # Errors
/// What the system says; the database must not be opened then.
pub(crate) fn move_strange_log_aside(path: &Path, patience: Duration) -> io::Result<()> {
    if !is_strange(path)? {
        return Ok(());
    }
    // One process at a time: a second one would move away the log that the first has just begun.
    let lock = open_lock(path)?;
    let begun = Instant::now();
    while let Err(fs::TryLockError::WouldBlock) = lock.try_lock() {
        if begun.elapsed() >= patience {
            return Err(io::ErrorKind::TimedOut.into());
        }
        thread::sleep(Duration::from_millis(10));
    }
    if !is_strange(path)? {
        return Ok(());
    }
    let Some(mark) = read_mark(path)? else { return Ok(()) };
    for suffix in ["-wal", "-shm"] {
        let from = beside(path, suffix);
        let to = beside(path, &format!("{suffix}.of-{}", mark.database.inode));
        match fs::rename(from, to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Writes down that the log at hand belongs to the database at hand.
///
/// # Errors
/// What the system says.
pub(crate) fn mark(path: &Path) -> io::Result<()> {
    let (Some(database), Some(log)) = (birth(path)?, birth(&beside(path, "-wal"))?) else {
        return Ok(());
    };
    let now = Mark { database, log };
    if read_mark(path)? == Some(now) {
        return Ok(());
    }
    let new = beside(path, &format!("-owner.{}", std::process::id()));
    let write = || {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        let Mark { database, log } = now;
        let numbers = [database.inode, database.nanoseconds, log.inode, log.nanoseconds];
        writeln!(file, "{}", numbers.map(|number| number.to_string()).join(" "))?;
        fs::rename(&new, beside(path, "-owner"))
    };
    write().inspect_err(|_| drop(fs::remove_file(&new)))
}

fn is_strange(path: &Path) -> io::Result<bool> {
    let Some(mark) = read_mark(path)? else { return Ok(false) };
    let (database, log) = (birth(path)?, birth(&beside(path, "-wal"))?);
    Ok(database.is_some_and(|database| database != mark.database) && log == Some(mark.log))
}

fn read_mark(path: &Path) -> io::Result<Option<Mark>> {
    let mut text = String::new();
    match File::open(beside(path, "-owner")) {
        Ok(file) => file.take(LONGEST_MARK).read_to_string(&mut text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let numbers: Option<Vec<u64>> =
        text.split_ascii_whitespace().map(|number| number.parse().ok()).collect();
    Ok(match numbers.as_deref() {
        Some([database, made, log, begun]) => Some(Mark {
            database: Birth { inode: *database, nanoseconds: *made },
            log: Birth { inode: *log, nanoseconds: *begun },
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

fn birth(path: &Path) -> io::Result<Option<Birth>> {
    match fs::metadata(path) {
        Ok(file) => {
            let made = file.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            let nanoseconds = made.and_then(|made| u64::try_from(made.as_nanos()).ok());
            let nanoseconds = nanoseconds.unwrap_or_default();
            Ok(Some(Birth { inode: file.ino(), nanoseconds }))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A file beside the database: its name and a suffix.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
