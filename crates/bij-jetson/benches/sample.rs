//! What one sample of an AGX Orin costs: `cargo bench -p bij-jetson`.
//!
//! The budget is 2 ms of processor time. Files in memory answer faster than a board's sensors, so this is
//! bij's own share; a system call costs the same everywhere.
#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use bij_jetson::{CapturedTree, Machine};
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nix::time::{ClockId, clock_gettime};

/// Processor time of all threads, which is what the budget is about.
struct ProcessorTime;

impl Measurement for ProcessorTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap().into()
    }
    fn end(&self, start: Duration) -> Duration {
        // Criterion divides by it.
        self.start().saturating_sub(start).max(Duration::from_nanos(1))
    }
    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }
    fn zero(&self) -> Duration {
        Duration::ZERO
    }
    fn to_f64(&self, value: &Duration) -> f64 {
        WallTime.to_f64(value)
    }
    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

fn samples(criterion: &mut Criterion<ProcessorTime>) {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trees/agx-orin-jp6");
    let place = tempfile::tempdir().unwrap();
    CapturedTree::load(&tree).unwrap().unpack(place.path()).unwrap();
    let machine = Machine::below(place.path());
    let mut group = criterion.benchmark_group("processor time of an AGX Orin's");
    group.throughput(Throughput::Elements(1));
    group.bench_function("sample", |bencher| bencher.iter(|| black_box(machine.sample())));
    group.bench_function("pulse", |bencher| bencher.iter(|| black_box(machine.pulse())));
    group.bench_function("temperatures", |bencher| {
        bencher.iter(|| black_box(machine.temperatures()).unwrap());
    });
    group.bench_function("zones", |bencher| bencher.iter(|| black_box(machine.zones()).unwrap()));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(ProcessorTime).sample_size(20);
    targets = samples
}
criterion_main!(benches);
