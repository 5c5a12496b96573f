//! Measures the cost of one sample of an AGX Orin: `cargo bench -p bij-jetson`.
//!
//! The budget is 2 ms of CPU time. Files in memory are read faster than a board's sensors, so this is only
//! bij's own share.
#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use bij_jetson::{CapturedTree, Hardware};
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nix::time::{ClockId, clock_gettime};

/// Measures the CPU time of all threads, which the budget limits.
struct CpuTime;

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap().into()
    }
    fn end(&self, start: Duration) -> Duration {
        // Criterion divides by this value.
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

fn samples(criterion: &mut Criterion<CpuTime>) {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trees/agx-orin-jp6");
    let root = tempfile::tempdir().unwrap();
    CapturedTree::load(&tree).unwrap().unpack(root.path()).unwrap();
    let machine = Hardware::open(root.path()).unwrap();
    let mut group = criterion.benchmark_group("CPU time of an AGX Orin's");
    group.throughput(Throughput::Elements(1));
    group.bench_function("sample", |bencher| bencher.iter(|| black_box(machine.sample())));
    group.bench_function("quick sample", |bencher| {
        bencher.iter(|| black_box(machine.quick_sample()));
    });
    group.bench_function("temperatures", |bencher| {
        bencher.iter(|| black_box(machine.temperatures()).unwrap());
    });
    group.bench_function("zones", |bencher| bencher.iter(|| black_box(machine.zones()).unwrap()));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime).sample_size(20);
    targets = samples
}
criterion_main!(benches);
