//! The cost of a ledger of 1,000 experiments with 100 attempts each.
//!
//! `cargo bench -p bij-store`. The time that hooks add to a start is "open and close" minus "two waits for
//! the disk"; `bij list` reads "tallies".
#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::path::Path;

use bij_core::port::{AttemptQuery, Ledger};
use bij_sim::contract::ledger_fixture::{self as fixture, end, restart};
use bij_store::{Reader, RobustLedger, Store};
use criterion::{Criterion, criterion_group, criterion_main};
use rusqlite::Connection;

/// Fills a ledger in one transaction: all attempts crashed, every tenth with a checkpoint.
const FILL: &str = r#"
    PRAGMA synchronous = OFF;
    BEGIN;
    WITH n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1000)
        INSERT INTO experiments (id, name) SELECT n, printf('experiment-%04d', n) FROM n;
    INSERT INTO runs (id, experiment, number) SELECT id, id, 1 FROM experiments;
    WITH n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 100)
        INSERT INTO attempts (experiment, run, number, boot, invocation, started)
        SELECT e.id, e.id, n, printf('%032x', 1), printf('%032x', e.id * 1000 + n), n
        FROM n, experiments e ORDER BY n, e.id;
    UPDATE attempts SET ready = started, ended = started + 1, cause = 'oom-kill', crash = 1,
        evidence = CASE number % 10 WHEN 0
            THEN '{"witness":"hook","service_result":"oom-kill","exit":{"signal":9},"became_ready":true,"oom_kills":1,"memory_peak":8589934592,"progress":{"step":120,"total":1000,"checkpoint":"120.ckpt"}}'
            ELSE '{"witness":"hook","service_result":"oom-kill","exit":{"signal":9},"became_ready":true,"oom_kills":1,"memory_peak":8589934592}'
        END;
    COMMIT;
"#;

fn fill(database: &Path) {
    drop(Store::open(database).unwrap());
    Connection::open(database).unwrap().execute_batch(FILL).unwrap();
}

fn reading(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("state.db");
    fill(&database);
    let reader = Reader::new(database);
    let id = fixture::experiment("experiment-0500");
    let mut group = criterion.benchmark_group("of 1,000 experiments, 100 attempts each");
    group.sample_size(30);
    group.bench_function("tallies", |bencher| {
        bencher.iter(|| assert_eq!(black_box(reader.tallies().unwrap()).len(), 1000));
    });
    group.bench_function("tally of one", |bencher| {
        bencher.iter(|| assert_eq!(black_box(reader.tally(&id).unwrap()).crashes, 100));
    });
    group.bench_function("attempts of one", |bencher| {
        let query = AttemptQuery { experiment: Some(id.clone()), ..Default::default() };
        bencher.iter(|| assert_eq!(black_box(reader.attempts(&query).unwrap()).len(), 100));
    });
    group.bench_function("open attempts", |bencher| {
        let query = AttemptQuery { open: true, ..Default::default() };
        bencher.iter(|| assert!(black_box(reader.attempts(&query).unwrap()).is_empty()));
    });
    group.finish();
}

fn writing(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("state.db");
    fill(&database);
    let mut number = 0;
    let mut group = criterion.benchmark_group("one attempt");
    group.sample_size(30);
    group.bench_function("open and close, each as a hook does", |bencher| {
        bencher.iter(|| {
            number += 1;
            let ledger = || RobustLedger::new(database.clone(), directory.path().join("spool"));
            let opening = restart("experiment-0500", 2, number);
            ledger().open(&opening).unwrap();
            ledger().close(&end(&opening, fixture::segfault())).unwrap();
        });
    });
    let mut store = Store::open(&database).unwrap();
    group.bench_function("open and close, on one connection", |bencher| {
        bencher.iter(|| {
            number += 1;
            let opening = restart("experiment-0500", 2, number);
            store.open(&opening).unwrap();
            store.close(&end(&opening, fixture::segfault())).unwrap();
        });
    });
    let mut file = File::create(directory.path().join("file")).unwrap();
    let pages = vec![1; 32 * 1024];
    group.bench_function("two waits for the disk", |bencher| {
        bencher.iter(|| {
            for _ in 0..2 {
                file.write_all(&pages).unwrap();
                file.sync_data().unwrap();
            }
        });
    });
    group.finish();
}

criterion_group!(benches, reading, writing);
criterion_main!(benches);
