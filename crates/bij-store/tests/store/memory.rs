//! A store in memory keeps the same contracts as one in a file.

use std::thread;

use bij_core::port::{AttemptQuery, Ledger, RunQueue};
use bij_core::{AttemptBoard, BoardMinute, Outcome, TimeSpan};
use bij_sim::contract::{
    ledger_contract, ledger_fixture as fixture, run_queue_contract, run_queue_fixture as queue,
    shared_ledger_contract, shared_run_queue_contract,
};
use bij_store::Store;

#[test]
fn a_store_in_memory_keeps_the_contracts() {
    ledger_contract(|| Store::in_memory().unwrap());
    run_queue_contract(|| Store::in_memory().unwrap());
}

/// As many threads at once as would find the database busy, each with a connection of its own.
#[test]
fn the_connections_of_a_store_in_memory_keep_the_contracts() {
    let connections = |store: Store| {
        let store = std::sync::Mutex::new(store);
        move || store.lock().unwrap().connect().unwrap()
    };
    shared_ledger_contract(connections(Store::in_memory().unwrap()));
    shared_run_queue_contract(connections(Store::in_memory().unwrap()));
}

#[test]
fn stores_in_memory_are_apart_and_their_connections_and_readers_together() {
    let mut one = Store::in_memory().unwrap();
    let other = Store::in_memory().unwrap();
    let reader = one.reader();
    one.open(&fixture::fresh("x", 1, 1)).unwrap();
    assert_eq!(other.attempts(&AttemptQuery::default()).unwrap(), []);
    let mut connected = one.connect().unwrap();
    drop(one);
    connected.submit(&[queue::submission("x")], fixture::at(1)).unwrap();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                assert_eq!(reader.attempts(&AttemptQuery::default()).unwrap().len(), 1);
                assert_eq!(reader.load().unwrap().runs.len(), 2);
            });
        }
    });
}

#[test]
fn a_connection_of_a_store_in_a_file_uses_the_same_file() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::open(directory.path().join("state.db")).unwrap();
    let mut other = store.connect().unwrap();
    assert_eq!(store.open(&fixture::fresh("x", 1, 1)).unwrap().attempt.0, 1);
    assert_eq!(other.open(&fixture::restart("x", 1, 2)).unwrap().attempt.0, 2);
    assert_eq!(store.reader().attempts(&AttemptQuery::default()).unwrap().len(), 2);
    std::fs::remove_file(directory.path().join("state.db")).unwrap();
    assert!(
        store.connect().is_err(),
        "a database that was removed is not replaced by an empty one"
    );
}

#[test]
fn the_board_is_recorded_in_memory_too() {
    let mut store = Store::in_memory().unwrap();
    let opening = fixture::fresh("x", 1, 1);
    store.close(&fixture::end(&opening, fixture::success())).unwrap();
    let board = AttemptBoard { over_current: Some(3), ..AttemptBoard::default() };
    assert_eq!(store.keep_attempt_board(opening.key, &board).unwrap(), Outcome::Changed);
    store.keep_board_minute(&minute()).unwrap();
    let reader = store.reader();
    assert_eq!(reader.board_minutes(9).unwrap(), [minute()]);
    assert_eq!(reader.attempt(opening.key).unwrap().unwrap().board, Some(board));
}

/// A minute of a board without sensors.
pub(crate) fn minute() -> BoardMinute {
    BoardMinute {
        at: fixture::at(0),
        span: TimeSpan::from_secs(59),
        samples: 60,
        hottest: None,
        celsius: None,
        power: None,
        gpu_load: None,
        memory_available: None,
        throttled: Some(1),
    }
}
