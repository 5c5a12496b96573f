//! The ledger can be read at any time by a process that can open it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use bij_core::RunNumber;
use bij_core::port::{AttemptQuery, Ledger};
use bij_sim::contract::ledger_fixture::{self as fixture, end, fresh};
use bij_store::{Reader, Store};
use rusqlite::Connection;

use crate::child::{ChildProcess, Task, can_run_as_nobody};
use crate::lock::Lock;

/// A directory as systemd creates it: writable by its owner, readable by all users.
fn place() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    directory
}

fn one_more(database: &Path, number: u32) -> Store {
    let mut store = Store::open(database).unwrap();
    let opening = fresh("x", 1, number);
    store.open(&opening).unwrap();
    store.close(&end(&opening, fixture::oom_kill())).unwrap();
    store
}

/// Returns the report of a process that can read the files but write neither them nor the directory, as
/// on a read-only file system.
fn read_without_writing(directory: &Path) -> String {
    let set = |file: u32, dir: u32| {
        for entry in fs::read_dir(directory).unwrap() {
            fs::set_permissions(entry.unwrap().path(), Permissions::from_mode(file)).unwrap();
        }
        fs::set_permissions(directory, Permissions::from_mode(dir)).unwrap();
    };
    // Where it cannot run as another user, this process removes its own permissions for the time.
    let mut reader = if can_run_as_nobody() {
        set(0o644, 0o755);
        ChildProcess::start_as_nobody(directory, &Task::Read)
    } else {
        set(0o444, 0o555);
        ChildProcess::start(directory, &Task::Read)
    };
    let reports = reader.finish();
    set(0o600, 0o711);
    reports.join("\n")
}

#[test]
fn another_user_opens_neither_the_database_nor_its_log() {
    if !can_run_as_nobody() {
        // Only root can become another user; another test checks the modes.
        return;
    }
    let directory = place();
    let database = directory.path().join("state.db");
    drop(one_more(&database, 1));
    let reports = ChildProcess::start_as_nobody(directory.path(), &Task::Read).finish();
    assert!(reports.join("").starts_with("Err(Denied"), "{reports:?}");
    // Modes that an older version left are corrected when the database is next opened.
    for name in ["state.db", "state.db-wal", "state.db-shm"] {
        let path = directory.path().join(name);
        fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    }
    drop(one_more(&database, 2));
    let reports = ChildProcess::start_as_nobody(directory.path(), &Task::Read).finish();
    assert!(reports.join("").starts_with("Err(Denied"), "{reports:?}");
}

#[test]
fn no_database_is_an_empty_history() {
    let directory = place();
    assert_eq!(read_without_writing(directory.path()), "0 of 0");
    fs::write(directory.path().join("state.db"), "").unwrap();
    assert_eq!(read_without_writing(directory.path()), "0 of 0", "one is just being made");
}

#[test]
fn a_reader_without_write_permission_reads_beside_a_writer_and_after_it() {
    let directory = place();
    let database = directory.path().join("state.db");
    let store = one_more(&database, 1);
    assert_eq!(read_without_writing(directory.path()), "1 of 1", "it is open");
    drop(store);
    assert_eq!(read_without_writing(directory.path()), "1 of 1", "its writer has left");
    let lock = Lock::hold(&database);
    assert_eq!(read_without_writing(directory.path()), "1 of 1", "it is locked");
    drop(lock);
}

#[test]
fn a_reader_without_write_permission_reads_a_database_whose_log_was_removed() {
    let directory = place();
    let database = directory.path().join("state.db");
    drop(one_more(&database, 1));
    // As `sqlite3 state.db` does when it exits: no log, no index.
    let shell = Connection::open(&database).unwrap();
    shell.query_row("SELECT count(*) FROM attempts", [], |_| Ok(())).unwrap();
    drop(shell);
    assert!(!directory.path().join("state.db-wal").exists());
    assert_eq!(read_without_writing(directory.path()), "1 of 1");
    drop(one_more(&database, 2));
    assert_eq!(read_without_writing(directory.path()), "2 of 1", "it is written again");
}

#[test]
fn a_log_without_an_index_is_an_error_until_a_writer_opens_the_database() {
    let directory = place();
    let database = directory.path().join("state.db");
    drop(one_more(&database, 1));
    fs::remove_file(directory.path().join("state.db-shm")).unwrap();
    let reports = read_without_writing(directory.path());
    assert!(reports.starts_with("Err(Denied(NoIndex))"), "{reports}");
    Store::open(&database).unwrap();
    assert_eq!(read_without_writing(directory.path()), "1 of 1");
}

#[test]
fn files_have_their_modes_whatever_the_umask_is() {
    let directory = place();
    let umask = ["sh", "-c", "umask 077; exec \"$@\"", "sh"];
    let task = Task::RunAttempts { name: "x", first: 1, count: 1 };
    ChildProcess::start_within(&umask, directory.path(), &task).finish();
    for name in ["state.db", "state.db-wal", "state.db-shm"] {
        let file = fs::metadata(directory.path().join(name)).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600, "{name}");
    }
    let database = directory.path().join("var/lib/brain-in-jar/state.db");
    drop(one_more(&database, 1));
    let made = fs::metadata(database.parent().unwrap()).unwrap();
    assert_eq!(made.permissions().mode() & 0o777, 0o711);
}

#[test]
fn a_reader_follows_a_database_that_is_made_and_replaced() {
    let directory = place();
    let database = directory.path().join("a place with % ? # and é.db");
    let reader = Reader::new(database.clone());
    assert_eq!(reader.tallies().unwrap().len(), 0);
    drop(one_more(&database, 1));
    assert_eq!(reader.tallies().unwrap().len(), 1);
    assert!(reader.attempt(fixture::key(1, 1)).unwrap().is_some());
    assert!(reader.attempt(fixture::key(1, 2)).unwrap().is_none());
    for suffix in ["", "-wal", "-shm"] {
        let mut name = database.clone().into_os_string();
        name.push(suffix);
        fs::remove_file(name).unwrap();
    }
    assert_eq!(reader.tallies().unwrap().len(), 0);
}

#[test]
fn a_reader_cannot_write() {
    let directory = place();
    let mut reader = Reader::new(directory.path().join("state.db"));
    let opening = fresh("x", 1, 1);
    assert!(reader.open(&opening).is_err());
    assert!(reader.close(&end(&opening, fixture::success())).is_err());
    assert!(reader.mark_clean_shutdown(fixture::boot(1), fixture::at(0)).is_err());
    assert!(!directory.path().join("state.db").exists());
}

#[test]
fn the_chunks_of_a_long_history_make_up_the_whole() {
    let directory = place();
    let database = directory.path().join("state.db");
    assert_eq!(Reader::new(database.clone()).attempt_chunks(None, None).count(), 0, "no database");
    let mut store = Store::open(&database).unwrap();
    for number in 1..=1003 {
        let id = if number % 2 == 0 { "even" } else { "odd" };
        store.open(&fresh(id, 1, number)).unwrap();
    }
    let reader = Reader::new(database);
    let chunks: Vec<_> = reader.attempt_chunks(None, None).map(Result::unwrap).collect();
    assert_eq!(chunks.iter().map(Vec::len).collect::<Vec<_>>(), [1000, 3]);
    let all = reader.attempts(&AttemptQuery::default()).unwrap();
    assert_eq!(chunks.concat(), all);
    let odd: Vec<_> = reader.attempt_chunks("odd".parse().ok(), None).map(Result::unwrap).collect();
    assert_eq!(odd.concat().len(), 502);
    let first: Vec<_> = reader.attempt_chunks("odd".parse().ok(), Some(RunNumber(1))).collect();
    assert_eq!(first.into_iter().map(Result::unwrap).collect::<Vec<_>>().concat().len(), 1);
}
