//! What a submission costs, told by counting and not by a clock.

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
    let store = Store::open(&directory.path().join("state.db")).unwrap();
    (directory, store)
}

/// Steps that SQLite's machine takes for what `work` asks of it, triggers included.
fn steps(store: &mut Store, work: impl FnOnce(&mut Store)) -> u64 {
    let steps = Arc::new(AtomicU64::new(0));
    let count = {
        let steps = Arc::clone(&steps);
        move || {
            steps.fetch_add(1, Ordering::Relaxed);
            false
        }
    };
    store.connection().progress_handler(1, Some(count)).unwrap();
    work(store);
    store.connection().progress_handler(0, None::<fn() -> bool>).unwrap();
    steps.load(Ordering::Relaxed)
}

#[test]
fn a_submission_and_a_start_take_as_many_steps_however_many_are_queued() {
    let (_directory, mut store) = store();
    let submit = |store: &mut Store, runs: usize| {
        store.submit(&vec![queue::submission("x"); runs], fixture::at(0)).unwrap();
    };
    let one_life = |store: &mut Store, number: u32| {
        let opening = fixture::fresh("x", 1, number);
        store.open(&opening).unwrap();
        store.close(&fixture::end(&opening, fixture::success())).unwrap();
    };
    let mut costs = Vec::new();
    for (number, more) in [(1, 10), (2, 5000)] {
        submit(&mut store, more);
        one_life(&mut store, number);
        // Every 64th event clears away old ones: none of these does.
        let told = store.events(0, usize::MAX).unwrap().len();
        submit(&mut store, 64 - told % 64);
        let submission = steps(&mut store, |store| submit(store, 1));
        let life = steps(&mut store, |store| one_life(store, number + 10));
        costs.push((submission, life));
    }
    assert!(costs[0].0 > 50, "they are counted: {costs:?}");
    assert_eq!(costs[0], costs[1]);
}

#[test]
fn no_question_of_a_submission_or_a_start_looks_at_all_rows() {
    let (_directory, mut store) = store();
    let looks = |connection: &Connection, sql: &str| {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let mut rows = statement.raw_query();
        let mut looks = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            looks.push(row.get::<_, String>("detail").unwrap());
        }
        looks
    };
    let questions = [
        read::STANDING,
        read::STARTING,
        write::EXPERIMENT,
        write::HIGHEST,
        write::RUN,
        write::QUEUED,
        write::EVENT,
    ];
    for sql in questions {
        for look in looks(store.connection(), sql) {
            assert!(!look.contains("SCAN") && !look.contains("B-TREE"), "{sql}: {look}");
        }
    }
}

#[test]
fn a_submission_writes_no_more_than_sixteen_kibibytes() {
    const ADDS: u64 = 100;
    let (directory, mut store) = store();
    store.submit(&vec![queue::submission("x"); 2000], fixture::at(0)).unwrap();
    store.shorten_log(0);
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
    // As if almost as many had happened as are kept.
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
