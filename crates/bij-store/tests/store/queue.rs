//! The queue under real faults and beside other processes.

use std::path::Path;
use std::thread;
use std::time::Duration;

use bij_core::port::{Change, Ledger, LedgerError, RunQueue};
use bij_core::queue::{EventKind, QueueState};
use bij_core::{Outcome, RunEnd, RunState};
use bij_sim::contract::ledger_fixture::{self as fixture, end, fresh};
use bij_sim::contract::run_queue_fixture::{cancel, let_start, submission};
use bij_store::{Reader, RobustLedger, Store};
use rusqlite::Connection;

use crate::child::{ChildProcess, Task};
use crate::lock::Lock;

fn robust(directory: &Path) -> RobustLedger {
    RobustLedger::new(directory.join("state.db"), directory.join("spool"))
        .with_busy_timeout(Duration::ZERO)
}

#[test]
fn a_kill_at_any_moment_loses_no_submission_that_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("state.db");
    let mut before = 0;
    for round in 0..16_u64 {
        let mut victim = ChildProcess::start(directory.path(), &Task::Submit { name: "x" });
        let mut reports = vec![victim.next().unwrap()];
        thread::sleep(Duration::from_micros(round * 1733 % 29 * 500));
        reports.extend(victim.kill());
        let acknowledged = reports
            .iter()
            .map(|report| report.strip_prefix("submitted ").unwrap().parse().unwrap());
        let highest: u32 = acknowledged.max().unwrap();
        let runs = Reader::new(database.clone()).load().unwrap().runs;
        let mut numbers: Vec<u32> = runs.iter().map(|queued| queued.run.number.0).collect();
        numbers.sort_unstable();
        let all = u32::try_from(numbers.len()).unwrap();
        assert!(numbers.into_iter().eq(1..=all), "none is missing and none is there twice");
        assert!(all >= highest, "{highest} were acknowledged, {all} are there");
        // One and three in turn: of three that were submitted together, all are there or none.
        assert!((all - before) % 4 <= 1, "{before} were there, now {all}");
        let events = Reader::new(database.clone()).events(0, usize::MAX).unwrap();
        assert_eq!(u32::try_from(events.len()).unwrap(), all, "each has its event");
        before = all;
    }
    let shell = Connection::open(&database).unwrap();
    let check: String = shell.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}

#[test]
fn a_locked_database_refuses_and_nothing_has_changed() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("state.db");
    let mut store = Store::open_with_timeout(&database, Duration::ZERO).unwrap();
    store.submit(&[submission("x")], fixture::at(0)).unwrap();
    let (queue, events) = (store.load().unwrap(), store.events(0, 99).unwrap());
    let lock = Lock::hold(&database);
    let refused = store.submit(&[submission("x")], fixture::at(0)).unwrap_err();
    assert!(matches!(refused, LedgerError::Busy(_)) && refused.is_transient(), "{refused:?}");
    let refused = store.change(&[cancel("x#1")], fixture::at(0)).unwrap_err();
    assert!(matches!(refused, LedgerError::Busy(_)), "{refused:?}");
    // Reads work while it is locked.
    assert_eq!((store.load().unwrap(), store.events(0, 99).unwrap()), (queue, events));
    lock.release();
    assert_eq!(store.submit(&[submission("x")], fixture::at(0)).unwrap()[0].run.number.0, 2);
    assert_eq!(store.events(1, 99).unwrap()[0].seq, 2, "numbers have no holes");
}

#[test]
fn a_start_finds_the_run_that_was_let_start_though_the_database_is_locked() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("state.db");
    let mut store = Store::open(&database).unwrap();
    store.submit(&vec![submission("x"); 3], fixture::at(0)).unwrap();
    store.change(&[let_start("x#2", 1)], fixture::at(1)).unwrap();
    let lock = Lock::hold(&database);
    let mut ledger = robust(directory.path());
    let one = fresh("x", 1, 1);
    assert_eq!(ledger.open(&one).unwrap().run.to_string(), "x#2");
    ledger.close(&end(&one, fixture::success())).unwrap();
    let two = fresh("x", 1, 2);
    assert_eq!(ledger.open(&two).unwrap().run.to_string(), "x#1", "then the first that waits");
    // A reader sees it already, except for the events.
    let reader = Reader::new(database.clone()).with_spool(directory.path().join("spool"));
    let queue = reader.load().unwrap();
    let states: Vec<_> = queue.runs.iter().map(|queued| queued.state.as_str()).collect();
    assert_eq!(states, ["running", "waiting"]);
    let ended = reader.run_state(&"x#2".parse().unwrap()).unwrap();
    assert_eq!(ended, Some(RunState::Ended(RunEnd::Success)));
    assert_eq!(reader.events(4, 99).unwrap(), []);
    lock.release();
    assert_eq!(ledger.apply_spool().unwrap(), 3);
    assert_eq!(store.load().unwrap(), queue);
    let kinds: Vec<_> = store.events(4, 99).unwrap().iter().map(|event| event.kind).collect();
    let (begun, ended) = (EventKind::AttemptBegun, EventKind::AttemptEnded);
    assert_eq!(kinds, [begun, ended, EventKind::RunEnded, begun]);
}

#[test]
fn a_reader_finds_an_empty_queue_before_there_is_a_database_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut reader = Reader::new(directory.path().join("state.db"));
    assert_eq!(reader.load().unwrap(), bij_core::queue::Queue::default());
    assert_eq!(reader.events(0, 9).unwrap(), []);
    assert_eq!(reader.run_state(&"x".parse().unwrap()).unwrap(), None);
    let refused = reader.submit(&[submission("x")], fixture::at(0)).unwrap_err();
    assert!(matches!(refused, LedgerError::Denied(_)), "{refused:?}");
    let refused = reader.change(&[cancel("x#1")], fixture::at(0)).unwrap_err();
    assert!(matches!(refused, LedgerError::Denied(_)), "{refused:?}");
}

#[test]
fn one_failing_change_undoes_all_changes_of_the_call() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("state.db");
    let mut store = Store::open(&database).unwrap();
    store.submit(&[submission("x")], fixture::at(0)).unwrap();
    let shell = Connection::open(&database).unwrap();
    shell
        .execute_batch(
            "CREATE TRIGGER refusal BEFORE UPDATE OF bypassed ON queue
             BEGIN SELECT RAISE(ABORT, 'no'); END",
        )
        .unwrap();
    let refused = Change::Bypassed { run: "x#1".parse().unwrap(), times: 1 };
    let both = [let_start("x#1", 1), refused];
    assert!(store.change(&both, fixture::at(1)).is_err());
    assert_eq!(store.load().unwrap().runs[0].state, QueueState::Waiting);
    assert_eq!(store.events(1, 9).unwrap(), []);
    assert_eq!(store.change(&both[..1], fixture::at(1)).unwrap(), [Outcome::Changed]);
}
