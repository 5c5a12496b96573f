//! Opens the database for writing, in a file or in memory, or for reading without write permission.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::database_error::DatabaseError;
use crate::database_file::FileId;
use crate::store::Flush;
use crate::{migration, wal_owner};

/// How long a call waits for another writer. A write of bij takes milliseconds, so a lock held longer
/// than this belongs to a stuck process, or to a person with a SQLite shell.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Mode of the database. A user who can open a file for reading can also lock it, so only the owner can;
/// other users ask the coordinator. SQLite gives the log and its index the same mode.
const FILE_MODE: u32 = 0o600;
/// Mode of the database's directory: other users can enter directories below it, but not list it.
const DIRECTORY_MODE: u32 = 0o711;

/// Page size in bytes. The log takes whole pages: the seven that a submission changes are 12 KiB on the
/// disk with pages of 1 KiB, and 31 KiB with SQLite's default of 4 KiB, in the same time.
const PAGE_SIZE: u32 = 1024;

/// Page cache of a connection, in KiB (SQLite writes KiB as a negative number). A query or a change
/// touches a few dozen pages, which are usually in the kernel's cache as well.
const CACHE_SIZE: i32 = -512;

/// From this length on, in bytes, the write-ahead log is checkpointed after the end of an attempt. A
/// commit adds about a dozen pages, and the first process to open an unused database reads the whole log.
pub(crate) const WAL_TRUNCATE_BYTES: u64 = 1 << 20;

/// From this length on, in pages, SQLite itself checkpoints the log during a commit. That is twice
/// [`WAL_TRUNCATE_BYTES`], so that a unit's start never waits for it where only hooks write, and fewer than
/// one submission in a hundred waits for it on a connection that stays open.
const WAL_AUTOCHECKPOINT_PAGES: u32 = 2048;

/// From this length on, in bytes, a submission or a change checkpoints the log. [`WAL_AUTOCHECKPOINT_PAGES`]
/// is half of it, so only processes that submit once and exit let the log grow this long.
pub(crate) const WAL_TRUNCATE_BYTES_ON_SUBMIT: u64 = 4 << 20;

/// The oldest SQLite that has what the SQL of this crate needs: `unixepoch()` and JSON functions that are always there,
/// both since this version, and tables that are STRICT (<https://www.sqlite.org/changes.html>).
const SQLITE_MIN: i32 = 3_038_000;

/// Returns an error if the SQLite that this program is linked to is too old. Checked first, because it would only fail
/// in the middle of a migration.
fn ensure_library() -> Result<(), DatabaseError> {
    check_library_version(rusqlite::version_number())
}

fn check_library_version(found: i32) -> Result<(), DatabaseError> {
    if found < SQLITE_MIN {
        return Err(DatabaseError::OldLibrary { found, needed: SQLITE_MIN });
    }
    Ok(())
}

/// Opens a database in memory with an empty ledger and queue, or another connection to it: every call with the same
/// name within this process, until the last connection is closed.
pub(crate) fn in_memory(name: &str, busy_timeout: Duration) -> Result<Connection, DatabaseError> {
    ensure_library()?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    // Shared by connections with locks like those of a file, unlike ":memory:" (<https://www.sqlite.org/inmemorydb.html>,
    // src/memdb.c).
    let mut connection = Connection::open_with_flags(format!("file:/{name}?vfs=memdb"), flags)?;
    connection.busy_timeout(busy_timeout)?;
    prepare(&connection)?;
    migration::apply(&mut connection)?;
    Ok(connection)
}

/// Opens the database for writing; creates it and its directory if they are missing. Also returns the
/// identity of the open file.
pub(crate) fn for_writing(
    path: &Path,
    busy_timeout: Duration,
) -> Result<(Connection, FileId), DatabaseError> {
    create_if_missing(path)?;
    existing_for_writing(path, busy_timeout)
}

/// Opens an existing database for writing. Also returns the identity of the open file.
pub(crate) fn existing_for_writing(
    path: &Path,
    busy_timeout: Duration,
) -> Result<(Connection, FileId), DatabaseError> {
    let file = FileId::read(path).ok_or_else(|| DatabaseError::Gone { path: path.to_owned() })?;
    wal_owner::move_foreign_wal_aside(path, busy_timeout)
        .map_err(|source| DatabaseError::File { path: wal_owner::beside(path, "-wal"), source })?;
    let connection =
        connect_for_writing(path, busy_timeout).map_err(|error| with_system_error(path, error))?;
    file.ensure_at(path)?;
    // A full disk must not make the database unusable.
    wal_owner::record(path).unwrap_or_default();
    Ok((connection, file))
}

fn connect_for_writing(path: &Path, busy_timeout: Duration) -> Result<Connection, DatabaseError> {
    ensure_library()?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(busy_timeout)?;
    // Only a new database takes this setting.
    connection.pragma_update(None, "page_size", PAGE_SIZE)?;
    // SQLite itself does not wait where two processes switch the same new database to WAL.
    retry_while_busy(busy_timeout, || {
        Ok(connection.pragma_update(None, "journal_mode", "WAL")?)
    })?;
    // An acknowledged attempt must survive a power cut.
    connection.pragma_update(None, "synchronous", Flush::Now.synchronous())?;
    connection.pragma_update(None, "wal_autocheckpoint", WAL_AUTOCHECKPOINT_PAGES)?;
    prepare(&connection)?;
    // The last connection to close would checkpoint and remove the log: two waits for the disk at the end
    // of every hook, and no index left for a reader without write permission.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    migration::apply(&mut connection)?;
    Ok(connection)
}

fn prepare(connection: &Connection) -> Result<(), DatabaseError> {
    connection.pragma_update(None, "cache_size", CACHE_SIZE)?;
    // Temporary files would otherwise lie where `$SQLITE_TMPDIR` or `$TMPDIR` says.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(())
}

/// Creates the directory and an empty file, so that both have their modes under any umask, and so that
/// a full or read-only disk is reported with the kernel's error. SQLite gives its other files the mode
/// of this one.
fn create_if_missing(path: &Path) -> Result<(), DatabaseError> {
    // Closing the new file drops the locks that another thread holds on it: see below.
    static CREATING: Mutex<()> = Mutex::new(());
    let _guard = CREATING.lock().unwrap_or_else(PoisonError::into_inner);
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| DatabaseError::File { path, source }
    };
    // The parent of a bare file name is "": the working directory.
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
        // Not opened, and therefore not closed: closing a file drops every lock that this process has
        // on it (<https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_>).
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            restrict_to_owner(path);
            Ok(())
        }
        Err(source) => Err(at(path)(source)),
    }
}

/// Removes the permissions that an older version gave to other users. Where this process cannot, the
/// files belong to another user, whose processes do it.
fn restrict_to_owner(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let path = wal_owner::beside(path, suffix);
        let is_open = |file: &fs::Metadata| file.permissions().mode() & 0o077 != 0;
        // Never the target of a symbolic link, and without opening the file (see above).
        if fs::symlink_metadata(&path).is_ok_and(|file| file.is_file() && is_open(&file)) {
            fs::set_permissions(&path, Permissions::from_mode(FILE_MODE)).unwrap_or_default();
        }
    }
}

/// Replaces SQLite's "unable to open", which has no reason, by the kernel's error for a new file in the
/// same directory.
fn with_system_error(path: &Path, error: DatabaseError) -> DatabaseError {
    if !matches!(&error, DatabaseError::Sqlite(error) if cannot_open(error)) {
        return error;
    }
    let mut probe = path.as_os_str().to_owned();
    probe.push(format!("-probe-{}", std::process::id()));
    let probe = PathBuf::from(probe);
    match OpenOptions::new().write(true).create_new(true).open(&probe) {
        Ok(_) => {
            // An empty file does no harm if it stays.
            fs::remove_file(&probe).unwrap_or_default();
            error
        }
        Err(source) => DatabaseError::File { path: path.to_owned(), source },
    }
}

fn cannot_open(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::CannotOpen)
}

/// Repeats a step for which SQLite itself does not wait.
fn retry_while_busy<T>(
    busy_timeout: Duration,
    mut step: impl FnMut() -> Result<T, DatabaseError>,
) -> Result<T, DatabaseError> {
    let started = Instant::now();
    loop {
        match step() {
            Err(DatabaseError::Sqlite(error))
                if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
                    && started.elapsed() < busy_timeout =>
            {
                thread::sleep(Duration::from_millis(10));
            }
            result => return result,
        }
    }
}

/// How a database is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadMode {
    /// While other processes write it.
    Shared,
    /// As a file without writers: its last writer has removed the log, and a reader without write
    /// permission cannot create the index of the log that SQLite needs.
    Immutable,
}

/// Checkpoints and empties a write-ahead log of `min_length` bytes or more, unless another connection
/// uses it.
///
/// SQLite itself restarts the log only if one connection makes two commits after a checkpoint. Hooks
/// commit once and exit: the log would grow for ever, and each of them would checkpoint all of it.
pub(crate) fn truncate_wal(
    connection: &Connection,
    path: &Path,
    busy_timeout: Duration,
    min_length: u64,
) {
    if wal_length(path) < min_length {
        return;
    }
    let truncate = || {
        connection.busy_timeout(Duration::ZERO)?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        connection.busy_timeout(busy_timeout)
    };
    // The content of the log is safe there, also on a full disk: the next write tries again.
    truncate().or_else(|_| connection.busy_timeout(busy_timeout)).unwrap_or_default();
}

/// Checkpoints the whole write-ahead log of a file that is no longer at its path: no later connection
/// will find the log.
pub(crate) fn checkpoint_wal(connection: &Connection) {
    let truncate = || {
        connection.busy_timeout(Duration::ZERO)?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    };
    // On a full disk the log stays beside the new database under a name of its own.
    truncate().unwrap_or_default();
}

/// Opens the database for reading; `None` if there is none yet.
pub(crate) fn for_reading(path: &Path) -> Result<Option<(Connection, ReadMode)>, DatabaseError> {
    let shared = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(DatabaseError::File { path: path.to_owned(), source }),
        Ok(file) if file.len() == 0 && !wal_has_content(path) => return Ok(None),
        Ok(_) => {
            wal_owner::move_foreign_wal_aside(path, BUSY_TIMEOUT).map_err(|source| {
                DatabaseError::File { path: wal_owner::beside(path, "-wal"), source }
            })?;
            connect_for_reading(path, ReadMode::Shared)
        }
    };
    let (connection, mode) = match shared {
        Err(DatabaseError::Sqlite(error)) if needs_index(&error) => {
            if wal_has_content(path) {
                return Err(DatabaseError::NoIndex);
            }
            (connect_for_reading(path, ReadMode::Immutable)?, ReadMode::Immutable)
        }
        other => (other?, ReadMode::Shared),
    };
    match migration::version(&connection)? {
        0 => Ok(None),
        migration::KNOWN => Ok(Some((connection, mode))),
        found => Err(DatabaseError::Older { found }),
    }
}

fn connect_for_reading(path: &Path, mode: ReadMode) -> Result<Connection, DatabaseError> {
    ensure_library()?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let connection = Connection::open_with_flags(file_uri(path, mode), flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    prepare(&connection)?;
    // SQLite opens its files at the first query.
    migration::version(&connection)?;
    Ok(connection)
}

/// Whether the log's index is missing and cannot be created (`SQLITE_CANTOPEN`, `SQLITE_READONLY_*`):
/// <https://www.sqlite.org/wal.html#read_only_databases>.
fn needs_index(error: &rusqlite::Error) -> bool {
    cannot_open(error) || error.sqlite_error_code() == Some(rusqlite::ErrorCode::ReadOnly)
}

/// Whether the database has a write-ahead log that is not empty.
pub(crate) fn wal_has_content(path: &Path) -> bool {
    wal_length(path) > 0
}

/// Length of the database's write-ahead log in bytes; 0 if it is missing.
fn wal_length(path: &Path) -> u64 {
    fs::metadata(wal_owner::beside(path, "-wal")).map_or(0, |file| file.len())
}

/// URI of a file (RFC 3986; <https://www.sqlite.org/uri.html>).
fn file_uri(path: &Path, mode: ReadMode) -> String {
    use std::fmt::Write;
    use std::os::unix::ffi::OsStrExt;
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-~".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            write!(uri, "%{byte:02X}").expect("a String takes all that is written to it");
        }
    }
    uri.push_str("?mode=ro");
    if mode == ReadMode::Immutable {
        uri.push_str("&immutable=1");
    }
    uri
}

#[cfg(test)]
mod tests {
    use bij_core::port::LedgerError;

    use super::*;

    #[test]
    fn an_sqlite_that_is_too_old_is_refused_with_both_versions() {
        assert!(check_library_version(3_038_000).is_ok());
        assert!(ensure_library().is_ok());
        let error = LedgerError::from(check_library_version(3_037_002).unwrap_err());
        assert!(matches!(&error, LedgerError::OldLibrary { .. }), "{error:?}");
        assert_eq!(
            error.to_string(),
            "this program uses SQLite 3.37.2; the state database needs 3.38.0 or newer"
        );
    }
}
