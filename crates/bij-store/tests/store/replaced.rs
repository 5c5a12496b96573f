//! The database file is removed, replaced or restored while it is open.

use std::fs;
use std::path::Path;

use bij_core::port::{AttemptQuery, Ledger, LedgerError, RunQueue};
use bij_sim::contract::ledger_fixture::{self as fixture, end, fresh};
use bij_sim::contract::run_queue_fixture as queue;
use bij_store::{RobustLedger, Store};
use rusqlite::Connection;

fn record_attempt(database: &Path, number: u32) {
    let mut store = Store::open(database).unwrap();
    let opening = fresh("x", 1, number);
    store.open(&opening).unwrap();
    store.close(&end(&opening, fixture::success())).unwrap();
}

fn attempts(database: &Path) -> usize {
    Store::open(database).unwrap().attempts(&AttemptQuery::default()).unwrap().len()
}

fn back_up(database: &Path, to: &Path) {
    let connection = Connection::open(database).unwrap();
    connection.execute("VACUUM INTO ?1", [to.to_str().unwrap()]).unwrap();
    // As a killed hook leaves it: with its log.
    std::mem::forget(connection);
}

fn is_replaced<T: std::fmt::Debug>(answer: &Result<T, LedgerError>) -> bool {
    matches!(answer, Err(LedgerError::Replaced(_)))
}

#[test]
fn the_log_of_another_database_is_never_replayed() {
    let directory = tempfile::tempdir().unwrap();
    let (database, backup) = (directory.path().join("state.db"), directory.path().join("backup"));
    record_attempt(&database, 1);
    back_up(&database, &backup);
    record_attempt(&database, 2);
    record_attempt(&database, 3);
    assert!(fs::metadata(directory.path().join("state.db-wal")).unwrap().len() > 0);
    fs::rename(&database, directory.path().join("aside")).unwrap();
    fs::rename(&backup, &database).unwrap();
    assert_eq!(attempts(&database), 1);
    let kept = fs::read_dir(directory.path()).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with("state.db-wal.of-")
    });
    assert_eq!(kept.count(), 1, "the log that was left behind is kept");
    record_attempt(&database, 4);
    assert_eq!(attempts(&database), 2);
    let connection = Connection::open(&database).unwrap();
    let check: String =
        connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}

#[test]
fn a_copy_of_the_whole_directory_keeps_its_log() {
    let directory = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    record_attempt(&directory.path().join("state.db"), 1);
    record_attempt(&directory.path().join("state.db"), 2);
    for entry in fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), other.path().join(entry.file_name())).unwrap();
    }
    assert_eq!(attempts(&other.path().join("state.db")), 2);
}

#[test]
fn no_write_is_acknowledged_without_the_file_and_writes_go_on_when_it_is_back() {
    let directory = tempfile::tempdir().unwrap();
    let (database, aside) = (directory.path().join("state.db"), directory.path().join("aside"));
    let mut ledger = RobustLedger::new(database.clone(), directory.path().join("spool"));
    ledger.load().unwrap();
    ledger.submit(&[queue::submission("x")], fixture::at(0)).unwrap();
    fs::rename(&database, &aside).unwrap();
    assert!(is_replaced(&ledger.submit(&[queue::submission("y")], fixture::at(1))));
    assert!(is_replaced(&ledger.events(0, 1)));
    assert!(is_replaced(&ledger.load()), "an empty queue is not the loaded one");
    assert!(!database.exists(), "no new one is made");
    // The file is complete without its log.
    let copy = directory.path().join("copy");
    fs::copy(&aside, &copy).unwrap();
    assert_eq!(Store::open(&copy).unwrap().load().unwrap().runs.len(), 1);
    fs::rename(&aside, &database).unwrap();
    assert_eq!(ledger.load().unwrap().runs.len(), 1);
    ledger.submit(&[queue::submission("y")], fixture::at(2)).unwrap();
    assert_eq!(Store::open(&database).unwrap().load().unwrap().runs.len(), 2);
}

#[test]
fn a_restored_backup_is_used_from_the_next_load_on() {
    let directory = tempfile::tempdir().unwrap();
    let (database, backup) = (directory.path().join("state.db"), directory.path().join("backup"));
    let mut ledger = RobustLedger::new(database.clone(), directory.path().join("spool"));
    ledger.load().unwrap();
    ledger.submit(&[queue::submission("x")], fixture::at(0)).unwrap();
    back_up(&database, &backup);
    ledger.submit(&[queue::submission("y")], fixture::at(1)).unwrap();
    let aside = directory.path().join("aside");
    fs::rename(&database, &aside).unwrap();
    fs::rename(&backup, &database).unwrap();
    assert!(is_replaced(&ledger.events(0, 1)));
    assert!(is_replaced(&ledger.submit(&[queue::submission("z")], fixture::at(2))));
    let runs = ledger.load().unwrap().runs;
    assert_eq!(runs.len(), 1, "{runs:?}");
    ledger.submit(&[queue::submission("z")], fixture::at(3)).unwrap();
    assert_eq!(ledger.events(0, 9).unwrap().len(), 2);
    assert_eq!(Store::open(&aside).unwrap().load().unwrap().runs.len(), 2);
}

#[test]
fn a_database_that_another_process_creates_must_be_loaded_first() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("state.db");
    let mut ledger = RobustLedger::new(database.clone(), directory.path().join("spool"));
    assert!(ledger.load().unwrap().runs.is_empty());
    record_attempt(&database, 1);
    assert!(is_replaced(&ledger.submit(&[queue::submission("y")], fixture::at(1))));
    ledger.load().unwrap();
    ledger.submit(&[queue::submission("y")], fixture::at(2)).unwrap();
}
