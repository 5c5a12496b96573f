//! The processor time of recording the board of an AGX Orin once a second: `cargo bench -p bijd --bench recorder`.
//!
//! The budget is 0.5 % of a core. Files on a disk are read faster than sensors, so this is bij's own share, including
//! the rows that it writes.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench fails by panicking, and prints its result"
)]

use std::path::Path;
use std::time::Duration;

use bij_coordinator::Now;
use bij_core::port::{Ledger as _, Opening};
use bij_core::{AttemptKey, BootId, InvocationId, StartKind, Timestamp, Uptime};
use bij_jetson::{CapturedTree, Hardware};
use bij_store::Store;
use bijd::BoardRecorder;
use nix::time::{ClockId, clock_gettime};

/// Half an hour of readings, and thirty rows.
const READINGS: u32 = 1800;

/// Processor time of all threads.
fn spent() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap().into()
}

fn now(second: u32) -> Now {
    Now {
        at: Timestamp::from_micros(i64::from(second) * 1_000_000),
        uptime: Uptime::from_secs(second),
    }
}

fn main() {
    let directory = tempfile::tempdir().unwrap();
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bij-jetson/tests/trees/agx-orin-jp6");
    CapturedTree::load(&tree).unwrap().unpack(directory.path().join("board")).unwrap();
    let database = directory.path().join("state.db");
    let boot = BootId::from_bytes([1; 16]);
    let opening = Opening {
        experiment: "x".parse().unwrap(),
        key: AttemptKey { boot, invocation: InvocationId::from_bytes([2; 16]) },
        at: now(0).at,
        uptime: None,
        start: StartKind::Fresh,
    };
    Store::open(&database).unwrap().open(&opening).unwrap();
    let mut recorder =
        BoardRecorder::new(Hardware::open(directory.path().join("board")).unwrap(), database, boot);
    recorder.record(now(0));
    let before = spent();
    for second in 1..=READINGS {
        recorder.record(now(second));
    }
    let per_reading = spent().saturating_sub(before) / READINGS;
    let share = per_reading.as_secs_f64() * 100.0;
    println!(
        "a reading takes {per_reading:?} of processor time: {share:.3} % of a core at one a second"
    );
    assert!(share <= 0.5, "the budget is 0.5 %");
}
