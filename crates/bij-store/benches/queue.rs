//! The cost of the queue with 0 and with 10,000 runs queued.
//!
//! `cargo bench -p bij-store --bench queue`. Every submission is on the disk when it returns, so compare
//! "one submission" with "one wait for the disk". The figures that are printed first are not available
//! from criterion: percentiles of single submissions, and the bytes that each writes.
#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bij_core::Bytes;
use bij_core::port::{Ledger, RunQueue};
use bij_core::queue::{Claim, Submission, Terms};
use bij_sim::contract::{ledger_fixture as fixture, run_queue_fixture as queue};
use bij_store::{Reader, RobustLedger, Store};
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use tempfile::TempDir;

const MANY: usize = 10_000;

/// The submissions of a sweep: the same experiment, each run with its own parameter.
fn sweep(runs: usize) -> Vec<Submission> {
    let claim = Claim { memory: Some(Bytes::new(8 << 30)), ..Claim::default() };
    let one = |number| Submission {
        terms: Terms { claim, ..Terms::default() },
        extras: format!("environment.SEED = \"{number}\"\n"),
        ..queue::submission("amnesiac_001")
    };
    (0..runs).map(one).collect()
}

/// A database with this many runs queued.
fn queued(runs: usize) -> (TempDir, PathBuf, Store) {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("state.db");
    let mut store = Store::open(&database).unwrap();
    store.submit(&sweep(runs), fixture::at(0)).unwrap();
    (directory, database, store)
}

/// Bytes that this process has caused to be written to disks.
fn written() -> u64 {
    let io = fs::read_to_string("/proc/self/io").unwrap();
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap();
    line.parse().unwrap()
}

#[expect(clippy::print_stdout, reason = "the bench prints these figures")]
fn figures() {
    const ADDS: usize = 2000;
    for before in [0, MANY] {
        let (_directory, _, mut store) = queued(before);
        let start = written();
        let mut took: Vec<Duration> = sweep(ADDS)
            .iter()
            .map(|one| {
                let start = Instant::now();
                store.submit(std::slice::from_ref(one), fixture::at(1)).unwrap();
                start.elapsed()
            })
            .collect();
        let bytes = (written() - start) / u64::try_from(ADDS).unwrap();
        took.sort();
        let percentile = |percent: usize| took[ADDS * percent / 100];
        println!(
            "{before} queued: an add takes p50 {:.1?}, p99 {:.1?}, and writes {bytes} bytes",
            percentile(50),
            percentile(99),
        );
    }
}

fn submitting(criterion: &mut Criterion) {
    figures();
    let mut group = criterion.benchmark_group("one submission");
    group.sample_size(30);
    for before in [0, MANY] {
        let (_directory, _, mut store) = queued(before);
        let one = sweep(1);
        group.bench_function(BenchmarkId::new("queued", before), |bencher| {
            bencher.iter(|| black_box(store.submit(&one, fixture::at(1)).unwrap()));
        });
    }
    let directory = tempfile::tempdir().unwrap();
    let mut file = File::create(directory.path().join("file")).unwrap();
    let pages = vec![1; 8 * 1024];
    group.bench_function("one wait for the disk", |bencher| {
        bencher.iter(|| {
            file.write_all(&pages).unwrap();
            file.sync_data().unwrap();
        });
    });
    group.finish();
    let mut group = criterion.benchmark_group("many submissions");
    group.sample_size(10);
    let many = sweep(MANY);
    group.bench_function("10,000 in one call", |bencher| {
        bencher.iter_batched_ref(
            || queued(0),
            |(_, _, store)| store.submit(&many, fixture::at(1)).unwrap().len(),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn reading(criterion: &mut Criterion) {
    let (_directory, database, store) = queued(MANY);
    let reader = Reader::new(database);
    let mut group = criterion.benchmark_group("of 10,000 queued");
    group.sample_size(30);
    group.bench_function("load, by a store", |bencher| {
        bencher.iter(|| assert_eq!(black_box(store.load().unwrap()).runs.len(), MANY));
    });
    group.bench_function("load, by a reader", |bencher| {
        bencher.iter(|| assert_eq!(black_box(reader.load().unwrap()).runs.len(), MANY));
    });
    group.bench_function("a thousand events", |bencher| {
        bencher.iter(|| assert_eq!(black_box(reader.events(5000, 1000).unwrap()).len(), 1000));
    });
    group.finish();
}

fn starting(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("open and close, each as a hook does");
    group.sample_size(30);
    for before in [0, MANY] {
        let (directory, database, store) = queued(before);
        drop(store);
        group.bench_function(BenchmarkId::new("queued", before), |bencher| {
            let mut number = 0;
            bencher.iter(|| run_attempt(&database, directory.path(), &mut number));
        });
    }
    group.finish();
}

fn run_attempt(database: &Path, directory: &Path, number: &mut u32) {
    *number += 1;
    let ledger = || RobustLedger::new(database, directory.join("spool"));
    let opening = fixture::fresh("amnesiac_001", 1, *number);
    ledger().open(&opening).unwrap();
    ledger().close(&fixture::end(&opening, fixture::success())).unwrap();
}

criterion_group!(benches, submitting, reading, starting);
criterion_main!(benches);
