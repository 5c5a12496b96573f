//! The ledger can be read at any time by a process that can open it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use bij_core::port::{AttemptQuery, AttemptScan, Ledger, LedgerError, RunQueue as _};
use bij_core::queue::QueuedRun;
use bij_core::{Attempt, ExperimentId, RunNumber};
use bij_sim::contract::ledger_fixture::{self as fixture, end, fresh, restart};
use bij_store::{Reader, RobustLedger, Store};
use rusqlite::Connection;

use crate::child::{ChildProcess, Task, can_run_as_nobody};
use crate::lock::Lock;

/// A directory as systemd creates it: writable by its owner, readable by all users.
fn temporary_directory() -> tempfile::TempDir {
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
    let directory = temporary_directory();
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
    let directory = temporary_directory();
    assert_eq!(read_without_writing(directory.path()), "0 of 0");
    fs::write(directory.path().join("state.db"), "").unwrap();
    assert_eq!(read_without_writing(directory.path()), "0 of 0", "one is just being made");
}

#[test]
fn a_reader_without_write_permission_reads_beside_a_writer_and_after_it() {
    let directory = temporary_directory();
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
    let directory = temporary_directory();
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
    let directory = temporary_directory();
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
    let directory = temporary_directory();
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
    let directory = temporary_directory();
    let database = directory.path().join("a directory with % ? # and é.db");
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
    let directory = temporary_directory();
    let mut reader = Reader::new(directory.path().join("state.db"));
    let opening = fresh("x", 1, 1);
    assert!(reader.open(&opening).is_err());
    assert!(reader.close(&end(&opening, fixture::success())).is_err());
    assert!(reader.mark_clean_shutdown(fixture::boot(1), fixture::at(0)).is_err());
    assert!(!directory.path().join("state.db").exists());
}

/// Reads a whole scan in pieces, and does something between two of them.
fn scanned(
    reader: &Reader,
    mut scan: AttemptScan,
    at_most: usize,
    mut between: impl FnMut(),
) -> Vec<Attempt> {
    let mut all = Vec::new();
    loop {
        let piece = reader.attempts_after(&scan, at_most).unwrap();
        assert!(piece.len() <= at_most);
        let Some(last) = piece.last() else { return all };
        scan.after = Some(last.key);
        all.extend(piece);
        between();
    }
}

#[test]
fn the_chunks_of_a_long_history_make_up_the_whole() {
    let directory = temporary_directory();
    let database = directory.path().join("state.db");
    let reader = Reader::new(database.clone());
    let all = AttemptScan::default;
    assert_eq!(scanned(&reader, all(), 100, || {}), [], "no database");
    let mut store = Store::open(&database).unwrap();
    for number in 1..=1003 {
        let id = if number % 2 == 0 { "even" } else { "odd" };
        store.open(&fresh(id, 1, number)).unwrap();
    }
    let whole = reader.attempts(&AttemptQuery::default()).unwrap();
    for at_most in [1000, 59, 17] {
        assert_eq!(scanned(&reader, all(), at_most, || {}), whole);
    }
    let odd = || AttemptScan { experiment: "odd".parse().ok(), ..all() };
    assert_eq!(scanned(&reader, odd(), 100, || {}).len(), 502);
    let first = AttemptScan { run: Some(RunNumber(1)), ..odd() };
    assert_eq!(scanned(&reader, first, 100, || {}).len(), 1);
}

#[test]
fn attempts_that_begin_between_two_pieces_are_read_once_and_hide_none() {
    let directory = temporary_directory();
    let database = directory.path().join("state.db");
    let mut store = Store::open(&database).unwrap();
    for number in 1..=20 {
        store.open(&fresh("x", 1, number)).unwrap();
    }
    let mut numbers = 21..30;
    let reader = Reader::new(database.clone());
    let read = scanned(&reader, AttemptScan::default(), 3, || {
        if let Some(number) = numbers.next() {
            store.open(&fresh("x", 1, number)).unwrap();
        }
    });
    let keys: Vec<_> = read.iter().map(|attempt| attempt.key).collect();
    assert_eq!(keys, (1..=29).map(|number| fixture::key(1, number)).collect::<Vec<_>>());
}

#[test]
fn a_scan_after_an_attempt_that_is_gone_is_refused() {
    let directory = temporary_directory();
    let database = directory.path().join("state.db");
    drop(one_more(&database, 1));
    let lost = AttemptScan { after: Some(fixture::key(1, 9)), ..AttemptScan::default() };
    for reader in [Reader::new(database), Reader::new(directory.path().join("none.db"))] {
        let refused = reader.attempts_after(&lost, 10).unwrap_err();
        assert!(matches!(refused, LedgerError::Lost { .. }), "{refused:?}");
    }
}

#[test]
fn what_is_set_aside_reads_in_pieces_as_it_will_be_when_it_is_taken_in() {
    let directory = temporary_directory();
    let (database, spool) = (directory.path().join("state.db"), directory.path().join("spool"));
    let mut store = Store::open(&database).unwrap();
    let mut openings: Vec<_> =
        (1..=30).map(|number| fresh(if number % 3 == 0 { "y" } else { "x" }, 1, number)).collect();
    for opening in &openings {
        store.open(opening).unwrap();
        if opening.key != fixture::key(1, 11) {
            store.close(&end(opening, fixture::with_checkpoint(1, fixture::exit(4)))).unwrap();
        }
    }
    drop(store);
    let lock = Lock::hold(&database);
    let robust = || {
        RobustLedger::new(database.clone(), spool.clone())
            .with_busy_timeout(Duration::from_millis(1))
    };
    let mut ledger = robust();
    ledger.close(&end(&openings[10], fixture::oom_kill())).unwrap();
    openings.extend([restart("x", 1, 31), fresh("y", 1, 32), fresh("z", 1, 33)]);
    for opening in &openings[30..] {
        ledger.open(opening).unwrap();
    }
    ledger.close(&end(&openings[30], fixture::segfault())).unwrap();

    let reader = Reader::new(database.clone()).with_spool(spool.clone());
    let read = || {
        let mut pieces = Vec::new();
        let mut queries = Vec::new();
        for id in [None, Some("x"), Some("y"), Some("z"), Some("none")] {
            let experiment: Option<ExperimentId> = id.map(|id| id.parse().unwrap());
            let scan = AttemptScan { experiment: experiment.clone(), ..AttemptScan::default() };
            for at_most in [1, 4, 31, 100] {
                pieces.push(scanned(&reader, scan.clone(), at_most, || {}));
            }
            for (newest, skip_newest) in
                [(None, 0), (Some(2), 0), (Some(2), 1), (Some(9), 2), (None, 5)]
            {
                for open in [false, true] {
                    let experiment = experiment.clone();
                    let query = AttemptQuery { experiment, run: None, newest, skip_newest, open };
                    queries.push(reader.attempts(&query).unwrap());
                }
            }
        }
        let tallies = reader.tallies().unwrap();
        for at_most in [1, 2, 9] {
            let (mut after, mut told) = (None, BTreeMap::new());
            loop {
                let piece = reader.tallies_after(after.as_ref(), at_most).unwrap();
                let Some((last, _)) = piece.last_key_value() else { break };
                assert!(piece.len() <= at_most);
                after = Some(last.clone());
                told.extend(piece);
            }
            assert_eq!(told, tallies);
        }
        (pieces, queries, tallies, reader.load().unwrap().runs)
    };
    let before = read();
    lock.release();
    assert_eq!(robust().apply_spool().unwrap(), 5);
    let after = read();
    assert_eq!(before.0, after.0);
    assert_eq!(before.1, after.1);
    assert_eq!(before.2, after.2);
    let names = |runs: Vec<QueuedRun>| runs.into_iter().map(|run| run.run).collect::<BTreeSet<_>>();
    assert_eq!(names(before.3), names(after.3));
}
