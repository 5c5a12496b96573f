//! The time and the memory that an export and an import of many attempts take.
//!
//! `cargo bench -p bij-store --bench export`. Each attempt has a line, a run and an end each for a hundred of them, and
//! the last 100,000 events a line each. The memory is the peak of the whole process, so it grows with the number of
//! lines if either direction keeps them.
#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]
#![expect(clippy::print_stdout, reason = "the bench prints its figures")]

use std::fs::{self, File};
use std::io::{BufReader, BufWriter};
use std::path::Path;
use std::time::{Instant, SystemTime};

use bij_core::port::Ledger;
use bij_store::Store;
use rusqlite::Connection;

/// Attempts of the small and of the large ledger.
const ATTEMPTS: [u32; 2] = [10_000, 1_000_000];

/// Fills a ledger in one transaction: every run has a hundred attempts, which all crashed.
fn fill(database: &Path, attempts: u32) {
    drop(Store::open(database).unwrap());
    let runs = attempts / 100;
    let sql = format!(
        r#"PRAGMA synchronous = OFF;
        BEGIN;
        INSERT INTO experiments (id, name) VALUES (1, 'x');
        WITH n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {runs})
            INSERT INTO runs (id, experiment, number) SELECT n, 1, n FROM n;
        WITH n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < {attempts} - 1)
            INSERT INTO attempts (experiment, run, number, boot, invocation, started)
            SELECT 1, n / 100 + 1, n % 100 + 1, printf('%032x', 1), printf('%032x', n), n FROM n;
        UPDATE attempts SET ready = started, ended = started + 1, cause = 'oom-kill', crash = 1,
            evidence = '{{"witness":"hook","service_result":"oom-kill","exit":{{"signal":9}},"became_ready":true,"oom_kills":1,"memory_peak":8589934592}}';
        UPDATE runs SET ended_by = 'gave-up', ended = 1;
        COMMIT;"#
    );
    Connection::open(database).unwrap().execute_batch(&sql).unwrap();
}

/// Peak of the memory of this process, in KiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Resets the peak to the memory that is in use now (`proc_pid_clear_refs(5)`).
fn reset_peak() {
    fs::write("/proc/self/clear_refs", "5").unwrap();
}

/// Prints the time and the peak of the memory of some work.
fn measure(what: &str, lines: u64, work: impl FnOnce()) {
    reset_peak();
    let (before, started) = (peak(), Instant::now());
    work();
    let (took, more) = (started.elapsed(), peak() - before);
    println!("{what}: {lines} lines in {took:.1?}, {more} KiB more memory");
}

fn main() {
    for attempts in ATTEMPTS {
        let place = tempfile::tempdir().unwrap();
        let (database, file) = (place.path().join("state.db"), place.path().join("export.jsonl"));
        fill(&database, attempts);
        let store = Store::open(&database).unwrap();
        let mut output = BufWriter::new(File::create(&file).unwrap());
        let mut lines = 0;
        measure("export", u64::from(attempts), || lines = store.export(&mut output).unwrap());
        drop(store);
        let mut copy = Store::open(place.path().join("copy.db")).unwrap();
        let import = |copy: &mut Store| {
            let input = BufReader::new(File::open(&file).unwrap());
            copy.import(input, SystemTime::now().into()).unwrap();
        };
        measure("import", lines, || import(&mut copy));
        measure("import of the same", lines, || import(&mut copy));
        assert_eq!(copy.tallies().unwrap().values().next().unwrap().attempts, u64::from(attempts));
    }
}
