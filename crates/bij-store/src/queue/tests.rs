//! The cost of a submission in counted steps, independent of clocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bij_core::port::{Ledger, RunQueue};
use bij_core::queue::{Event, EventKind};
use bij_sim::contract::{ledger_fixture as fixture, run_queue_fixture as queue};
use rusqlite::Connection;
use tempfile::TempDir;

use super::{read, write};
use crate::Store;

fn store() -> (TempDir, Store) {
    let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let store = Store::open(directory.path().join("state.db")).unwrap();
    (directory, store)
}

/// Returns the steps of SQLite's virtual machine during `work`, triggers included.
fn steps(store: &mut Store, work: impl FnOnce(&mut Store)) -> u64 {
    let steps = Arc::new(AtomicU64::new(0));
    let count = {
        let steps = Arc::clone(&steps);
        move || {
            steps.fetch_add(1, Ordering::Relaxed);
            false
        }
    };
    store.connection_mut().progress_handler(1, Some(count)).unwrap();
    work(store);
    store.connection_mut().progress_handler(0, None::<fn() -> bool>).unwrap();
    steps.load(Ordering::Relaxed)
}

#[test]
fn submissions_and_starts_take_the_same_number_of_steps_in_a_long_queue() {
    let (_directory, mut store) = store();
    let submit = |store: &mut Store, runs: usize| {
        store.submit(&vec![queue::submission("x"); runs], fixture::at(0)).unwrap();
    };
    let run_attempt = |store: &mut Store, number: u32| {
        let opening = fixture::fresh("x", 1, number);
        store.open(&opening).unwrap();
        store.close(&fixture::end(&opening, fixture::success())).unwrap();
    };
    let mut costs = Vec::new();
    for (number, more) in [(1, 10), (2, 5000)] {
        submit(&mut store, more);
        run_attempt(&mut store, number);
        // Every 64th event removes old ones: none of these does.
        let events = store.events(0, usize::MAX).unwrap().len();
        submit(&mut store, 64 - events % 64);
        let submission = steps(&mut store, |store| submit(store, 1));
        let attempt = steps(&mut store, |store| run_attempt(store, number + 10));
        costs.push((submission, attempt));
    }
    assert!(costs[0].0 > 50, "they are counted: {costs:?}");
    assert_eq!(costs[0], costs[1]);
}

#[test]
fn no_query_of_a_submission_or_a_start_scans_a_table() {
    let (_directory, store) = store();
    let plan = |connection: &Connection, sql: &str| {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let mut rows = statement.raw_query();
        let mut steps = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            steps.push(row.get::<_, String>("detail").unwrap());
        }
        steps
    };
    let queries = [
        read::STANDING,
        read::STARTING,
        write::EXPERIMENT,
        write::HIGHEST,
        write::RUN,
        write::QUEUED,
        write::EVENT,
    ];
    for sql in queries {
        for step in plan(store.connection(), sql) {
            assert!(!step.contains("SCAN") && !step.contains("B-TREE"), "{sql}: {step}");
        }
    }
}

#[test]
fn a_submission_writes_no_more_than_sixteen_kibibytes() {
    const ADDS: u64 = 100;
    let (directory, mut store) = store();
    store.submit(&vec![queue::submission("x"); 2000], fixture::at(0)).unwrap();
    store.truncate_wal(0);
    let length = || std::fs::metadata(directory.path().join("state.db-wal")).unwrap().len();
    let before = length();
    for _ in 0..ADDS {
        store.submit(&[queue::submission("x")], fixture::at(0)).unwrap();
    }
    let log = (length() - before) / ADDS;
    // The kernel writes whole pages of 4 KiB, of which the first and the last are not full.
    assert!(log > 1024 && log + 2 * 4096 <= 16 << 10, "{log}");
}

#[test]
fn the_newest_events_are_kept_and_a_reader_sees_where_they_begin() {
    let (_directory, mut store) = store();
    store.submit(&[queue::submission("x")], fixture::at(0)).unwrap();
    // As if almost as many events had been recorded as are kept.
    let kept = u64::try_from(Event::KEPT).unwrap();
    let jump = format!("UPDATE sqlite_sequence SET seq = {} WHERE name = 'events'", kept - 10);
    store.connection().execute_batch(&jump).unwrap();
    store.submit(&vec![queue::submission("x"); 200], fixture::at(0)).unwrap();
    let events = store.events(0, usize::MAX).unwrap();
    let (first, last) = (events[0].seq, events[events.len() - 1].seq);
    assert_eq!(last, kept + 190);
    assert!(first > 1, "a reader who has seen none sees that some are missing");
    assert!(last - first < kept + 64);
    assert!(events.iter().all(|event| event.kind == EventKind::Submitted));
}
