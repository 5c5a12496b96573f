//! Opening the database: to write, and to read with no right to write.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::failure::Failure;
use crate::file_id::FileId;
use crate::flush::Flush;
use crate::{migration, side_files};

/// How long a call waits while somebody else writes. A write of bij's takes milliseconds, so
/// whoever is slower than this is stuck, or is a person with a SQLite shell.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Only its owner opens it: what may be opened to read can be locked, and so held up. Others ask the
/// coordinator. SQLite gives the log and its index the mode of the database.
const FILE_MODE: u32 = 0o600;
/// Others may pass through to what lies below, and see nothing of what lies here.
const DIRECTORY_MODE: u32 = 0o711;

/// The log takes a page whole, however little of it has changed. A submission changes seven pages:
/// of 1 KiB they are 12 KiB for the disk, of SQLite's usual 4 KiB they are 31 KiB, in the same time.
const PAGE_SIZE: u32 = 1024;

/// What a connection keeps of the database in memory, in KiB (negative, as SQLite has it): a question
/// or a change touches a few dozen pages, and somebody has them in the kernel's cache anyway.
const CACHE_SIZE: i32 = -512;

/// From this length on, in bytes, the write-ahead log is moved into the database when there is time
/// for it. A commit adds a dozen pages or so; whoever opens the database first after others have
/// left it reads the whole log.
pub(crate) const LONG_LOG: u64 = 1 << 20;

/// From this length on, in pages, SQLite by itself moves the log in the midst of a commit: twice as
/// long as [`LONG_LOG`], so that no start of a unit has to wait for it where hooks alone write, and
/// so that of those who submit by a connection that stays fewer than one in a hundred have to.
const LONGEST_LOG: u32 = 2048;

/// What the log never reaches, in bytes, where somebody stays: [`LONGEST_LOG`] is half of it. Who
/// comes to submit and leaves empties it from here on.
pub(crate) const OVERLONG_LOG: u64 = 4 << 20;

/// Opens the database to write; makes it, and its directory, if there is none. Returns which file it
/// is, too.
pub(crate) fn to_write(path: &Path, patience: Duration) -> Result<(Connection, FileId), Failure> {
    make(path)?;
    existing_to_write(path, patience)
}

/// Opens the database to write, and fails if there is none. Returns which file it is, too.
pub(crate) fn existing_to_write(
    path: &Path,
    patience: Duration,
) -> Result<(Connection, FileId), Failure> {
    let file = FileId::of(path).ok_or_else(|| Failure::Gone { path: path.to_owned() })?;
    side_files::move_strange_log_aside(path, patience)
        .map_err(|source| Failure::File { path: side_files::beside(path, "-wal"), source })?;
    let connection =
        connect_to_write(path, patience).map_err(|failure| in_the_kernels_words(path, failure))?;
    file.must_be_at(path)?;
    // A disk without room has none for the mark, and must not keep the database from being used.
    side_files::mark(path).unwrap_or_default();
    Ok((connection, file))
}

fn connect_to_write(path: &Path, patience: Duration) -> Result<Connection, Failure> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(patience)?;
    // Only a database in the making takes it.
    connection.pragma_update(None, "page_size", PAGE_SIZE)?;
    // SQLite does not wait by itself where two make the same new database a WAL one.
    while_busy(patience, || Ok(connection.pragma_update(None, "journal_mode", "WAL")?))?;
    // An attempt that was acknowledged is still there after a power cut.
    connection.pragma_update(None, "synchronous", Flush::Now.synchronous())?;
    connection.pragma_update(None, "wal_autocheckpoint", LONGEST_LOG)?;
    prepare(&connection)?;
    // The last one to leave would move the log into the database and remove it: two waits for the
    // disk at the end of every hook, and no file left by which a reader without rights can read.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    migration::apply(&mut connection)?;
    Ok(connection)
}

fn prepare(connection: &Connection) -> Result<(), Failure> {
    connection.pragma_update(None, "cache_size", CACHE_SIZE)?;
    // Its files for a sort would lie where `$SQLITE_TMPDIR` or `$TMPDIR` says.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(())
}

/// Makes the directory and an empty file, so that both have their modes whatever the umask is, and
/// so that a disk without room or rights is told by the kernel in its own words. SQLite gives its
/// other files the mode of this one.
fn make(path: &Path) -> Result<(), Failure> {
    // Nor may another thread have it open by the time this one closes what it has made.
    static MAKING: Mutex<()> = Mutex::new(());
    let _alone = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| Failure::File { path, source }
    };
    // A bare file name has "" for its parent, which is where we are.
    let missing = |directory: &&Path| !directory.as_os_str().is_empty() && !directory.exists();
    if let Some(directory) = path.parent().filter(missing) {
        DirBuilder::new()
            .recursive(true)
            .mode(DIRECTORY_MODE)
            .create(directory)
            .and_then(|()| fs::set_permissions(directory, Permissions::from_mode(DIRECTORY_MODE)))
            .map_err(at(directory))?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path) {
        Ok(file) => file.set_permissions(Permissions::from_mode(FILE_MODE)).map_err(at(path)),
        // Not opened, and so not closed: closing any file drops every lock that this process has on
        // it (<https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_>).
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            close_to_others(path);
            Ok(())
        }
        Err(source) => Err(at(path)(source)),
    }
}

/// Takes from others what an older version gave them. Where that may not be done the files are
/// another's, who is the one to do it.
fn close_to_others(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let path = side_files::beside(path, suffix);
        let is_open = |file: &fs::Metadata| file.permissions().mode() & 0o077 != 0;
        // The file itself, never what a link leads to; and not opened (see above).
        if fs::symlink_metadata(&path).is_ok_and(|file| file.is_file() && is_open(&file)) {
            fs::set_permissions(&path, Permissions::from_mode(FILE_MODE)).unwrap_or_default();
        }
    }
}

/// SQLite says "unable to open" whatever keeps it from making its log; the kernel says why.
fn in_the_kernels_words(path: &Path, failure: Failure) -> Failure {
    if !matches!(&failure, Failure::Sqlite(error) if cannot_open(error)) {
        return failure;
    }
    let mut probe = path.as_os_str().to_owned();
    probe.push(format!("-probe-{}", std::process::id()));
    let probe = PathBuf::from(probe);
    match OpenOptions::new().write(true).create_new(true).open(&probe) {
        Ok(_) => {
            // It is empty and nobody's: should it stay, it harms nobody.
            fs::remove_file(&probe).unwrap_or_default();
            failure
        }
        Err(source) => Failure::File { path: path.to_owned(), source },
    }
}

fn cannot_open(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::CannotOpen)
}

/// Repeats what SQLite refuses at once although waiting would help.
fn while_busy<T>(
    patience: Duration,
    mut step: impl FnMut() -> Result<T, Failure>,
) -> Result<T, Failure> {
    let started = Instant::now();
    loop {
        match step() {
            Err(Failure::Sqlite(error))
                if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
                    && started.elapsed() < patience =>
            {
                thread::sleep(Duration::from_millis(10));
            }
            done => return done,
        }
    }
}

/// How a database can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// As SQLite reads a database that others write.
    Shared,
    /// As a file that nobody writes: its log was cleaned away by its last writer, and a reader
    /// without rights cannot make the log's index that SQLite asks for.
    Still,
}

/// Moves a write-ahead log of this length into the database and empties it, unless somebody is in
/// the way.
///
/// SQLite by itself begins the log anew only if one connection lives for two commits after it was
/// moved. Hooks commit once and leave: without this it would grow for ever, and be moved whole by
/// each of them.
pub(crate) fn shorten_log(connection: &Connection, path: &Path, patience: Duration, from: u64) {
    if log_length(path) < from {
        return;
    }
    let shorten = || {
        connection.busy_timeout(Duration::ZERO)?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        connection.busy_timeout(patience)
    };
    // What is in the log is safe there, on a full disk too: the next one tries again.
    shorten().or_else(|_| connection.busy_timeout(patience)).unwrap_or_default();
}

/// Moves the whole write-ahead log into the database, for which this connection is the last that can:
/// the file has lost its place, and will be opened without its log.
pub(crate) fn complete(connection: &Connection) {
    let complete = || {
        connection.busy_timeout(Duration::ZERO)?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    };
    // On a full disk the log stays beside it under a name of its own.
    complete().unwrap_or_default();
}

/// Opens the database to read; `None` if there is none yet.
pub(crate) fn to_read(path: &Path) -> Result<Option<(Connection, Reading)>, Failure> {
    let shared = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Failure::File { path: path.to_owned(), source }),
        Ok(file) if file.len() == 0 && !log_has_content(path) => return Ok(None),
        Ok(_) => {
            side_files::move_strange_log_aside(path, PATIENCE).map_err(|source| Failure::File {
                path: side_files::beside(path, "-wal"),
                source,
            })?;
            connect_to_read(path, Reading::Shared)
        }
    };
    let (connection, reading) = match shared {
        Err(Failure::Sqlite(error)) if needs_index(&error) => {
            if log_has_content(path) {
                return Err(Failure::NoIndex);
            }
            (connect_to_read(path, Reading::Still)?, Reading::Still)
        }
        other => (other?, Reading::Shared),
    };
    match migration::version(&connection)? {
        0 => Ok(None),
        migration::KNOWN => Ok(Some((connection, reading))),
        found => Err(Failure::Older { found }),
    }
}

fn connect_to_read(path: &Path, reading: Reading) -> Result<Connection, Failure> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let connection = Connection::open_with_flags(address(path, reading), flags)?;
    connection.busy_timeout(PATIENCE)?;
    prepare(&connection)?;
    // SQLite opens its files at the first question.
    migration::version(&connection)?;
    Ok(connection)
}

/// The log's index is missing and cannot be made (`SQLITE_CANTOPEN`, `SQLITE_READONLY_*`):
/// <https://www.sqlite.org/wal.html#read_only_databases>.
fn needs_index(error: &rusqlite::Error) -> bool {
    cannot_open(error) || error.sqlite_error_code() == Some(rusqlite::ErrorCode::ReadOnly)
}

/// Whether the database's write-ahead log holds anything.
pub(crate) fn log_has_content(path: &Path) -> bool {
    log_length(path) > 0
}

/// How long the database's write-ahead log is, in bytes; one that is not there has no length.
fn log_length(path: &Path) -> u64 {
    fs::metadata(side_files::beside(path, "-wal")).map_or(0, |file| file.len())
}

/// The URI of a file (RFC 3986; <https://www.sqlite.org/uri.html>).
fn address(path: &Path, reading: Reading) -> String {
    use std::fmt::Write;
    use std::os::unix::ffi::OsStrExt;
    let mut address = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-~".contains(byte) {
            address.push(char::from(*byte));
        } else {
            write!(address, "%{byte:02X}").expect("a String takes all that is written to it");
        }
    }
    address.push_str("?mode=ro");
    if reading == Reading::Still {
        address.push_str("&immutable=1");
    }
    address
}
