//! The same queue short and long: what 10,000 queued runs change, and what it costs when nothing
//! happens.

use std::fmt;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::bij::Bij;
use super::contender::{Contender as _, proc_field};
use super::figures::{median, micros, thousandths, timed, written};

/// A short queue.
const FEW: usize = 10;
/// So many additions at either depth; the median counts.
const ADDS: usize = 200;
/// So many listings.
const LISTINGS: usize = 11;
/// How long nothing is asked for.
const IDLE: Duration = Duration::from_secs(20);

/// Times are in microseconds, sizes in bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Depth {
    queued: usize,
    add_to_few: u64,
    add_to_many: u64,
    written_per_add: u64,
    /// All of them in one call.
    fill: u64,
    list: u64,
    resident_with_few: u64,
    resident_with_many: u64,
    /// After some listings.
    resident_when_listed: u64,
    idle: Idle,
}

/// What a coordinator does that has nothing to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Idle {
    /// Of one processor, in millionths.
    busy: u64,
    /// In a thousand seconds.
    wakes: u64,
    written: u64,
}

impl Depth {
    /// Measures a queue that nothing has been put into.
    pub(super) fn measure(bij: &Bij, queued: usize) -> Result<Self> {
        let resident =
            || Ok::<u64, anyhow::Error>(proc_field(bij.daemon(), "status", "VmRSS")? * 1024);
        let adds = |count: usize| {
            (0..count).map(|_| timed(&mut bij.add())).collect::<Result<Vec<Duration>>>()
        };
        adds(FEW)?;
        let resident_with_few = resident()?;
        let add_to_few = median(&adds(ADDS)?);
        let fill = timed(&mut bij.fill(queued))?;
        let resident_with_many = resident()?;
        let before = written(bij)?;
        let add_to_many = median(&adds(ADDS)?);
        let written_per_add = (written(bij)? - before) / u64::try_from(ADDS)?;
        let listings =
            (0..LISTINGS).map(|_| timed(&mut bij.list())).collect::<Result<Vec<Duration>>>()?;
        Ok(Self {
            queued,
            add_to_few: micros(add_to_few),
            add_to_many: micros(add_to_many),
            written_per_add,
            fill: micros(fill),
            list: micros(median(&listings)),
            resident_with_few,
            resident_with_many,
            resident_when_listed: resident()?,
            idle: Idle::measure(bij.daemon())?,
        })
    }
}

impl Idle {
    fn measure(daemon: u32) -> Result<Self> {
        let before = Counters::read(daemon)?;
        thread::sleep(IDLE);
        let after = Counters::read(daemon)?;
        let seconds = IDLE.as_secs();
        Ok(Self {
            busy: after.busy.saturating_sub(before.busy).div_ceil(1000) / seconds,
            wakes: after.wakes.saturating_sub(before.wakes) * 1000 / seconds,
            written: after.written.saturating_sub(before.written),
        })
    }
}

/// What the kernel has counted of a process.
struct Counters {
    /// Nanoseconds.
    busy: u64,
    wakes: u64,
    written: u64,
}

impl Counters {
    fn read(process: u32) -> Result<Self> {
        let (mut busy, mut wakes) = (0, 0);
        for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
            let thread = thread?.path();
            let read = |file: &str| {
                let path = thread.join(file);
                std::fs::read_to_string(&path)
                    .with_context(|| format!("cannot read {}", path.display()))
            };
            let schedstat = read("schedstat")?;
            busy += schedstat.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0);
            let status = read("status")?;
            let waits = status.lines().find_map(|it| it.strip_prefix("voluntary_ctxt_switches:"));
            wakes += waits.and_then(|count| count.trim().parse().ok()).unwrap_or(0);
        }
        Ok(Self { busy, wakes, written: proc_field(process, "io", "write_bytes")? })
    }
}

impl fmt::Display for Depth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = |micros: u64| Duration::from_micros(micros).as_secs_f64() * 1e3;
        let megabytes = |bytes| thousandths(bytes, 1_000_000);
        writeln!(
            f,
            "  {} in one call: {:.0} ms; an add to {:.1} ms, to a short queue {:.1} ms, {:.2} of \
             it; {:.1} KiB written each; list {:.1} ms",
            self.queued,
            milliseconds(self.fill),
            milliseconds(self.add_to_many),
            milliseconds(self.add_to_few),
            thousandths(self.add_to_many, self.add_to_few),
            thousandths(self.written_per_add, 1024),
            milliseconds(self.list),
        )?;
        writeln!(
            f,
            "  resident: {:.1} MB with {FEW}, {:.1} MB with all, {:.1} MB after listings",
            megabytes(self.resident_with_few),
            megabytes(self.resident_with_many),
            megabytes(self.resident_when_listed),
        )?;
        let Idle { busy, wakes, written } = &self.idle;
        write!(
            f,
            "  idle, without a service manager: {:.3} % of a processor, {:.2} wake-ups a second, \
             {written} bytes written",
            thousandths(*busy, 10_000),
            thousandths(*wakes, 1000),
        )
    }
}
