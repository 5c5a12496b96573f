//! What was measured, and how it compares.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};

use super::contender::{Contender, proc_field};
use super::depth::Depth;

/// Our own name among the contenders.
const OURS: &str = "bij";
/// The additions at the beginning and at the end whose times are compared: one in so many.
const WINDOW: usize = 10;
/// So many listings; the median counts.
const LISTINGS: usize = 11;

/// One contender's figures. Times are in microseconds, sizes in bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Figures {
    name: String,
    adds: usize,
    /// The middle one of the first tenth of additions, of the last, and the slowest in a hundred.
    add_first: u64,
    add_last: u64,
    add_p99: u64,
    /// What reached the disk for one addition, by the daemon and by the one who asks.
    written_per_add: u64,
    list: u64,
    resident: u64,
    /// Only of ours: the others cannot be filled in one call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    depth: Option<Depth>,
}

impl Figures {
    pub(super) fn is_ours(&self) -> bool {
        self.name == OURS
    }

    /// Adds what was measured at two depths.
    pub(super) fn at_depth(self, depth: Depth) -> Self {
        Self { depth: Some(depth), ..self }
    }

    pub(super) fn measure(contender: &mut dyn Contender, adds: usize) -> Result<Self> {
        let written_before = written(contender)?;
        let mut times =
            (0..adds).map(|_| timed(&mut contender.add())).collect::<Result<Vec<Duration>>>()?;
        let written = written(contender)?.saturating_sub(written_before);
        let window = (adds / WINDOW).max(1);
        let (first, last) = (median(&times[..window]), median(&times[adds - window..]));
        times.sort_unstable();
        let listings = (0..LISTINGS)
            .map(|_| timed(&mut contender.list()))
            .collect::<Result<Vec<Duration>>>()?;
        Ok(Self {
            name: contender.name(),
            adds,
            add_first: micros(first),
            add_last: micros(last),
            add_p99: micros(times[(adds * 99 / 100).min(adds - 1)]),
            written_per_add: written / u64::try_from(adds)?,
            list: micros(median(&listings)),
            resident: proc_field(contender.daemon(), "status", "VmRSS")? * 1024,
            depth: None,
        })
    }
}

/// The bytes that have gone to the disk: by the daemon (`proc_pid_io(5)`) and by the processes that
/// asked it (`ru_oublock`, getrusage(2), in units of 512).
pub(super) fn written(contender: &dyn Contender) -> Result<u64> {
    let daemon = proc_field(contender.daemon(), "io", "write_bytes")?;
    let asked = getrusage(UsageWho::RUSAGE_CHILDREN)?.block_writes();
    Ok(daemon + u64::try_from(asked).unwrap_or(0) * 512)
}

pub(super) fn timed(command: &mut Command) -> Result<Duration> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let begun = Instant::now();
    let output = command.output().context("cannot run a contender")?;
    let took = begun.elapsed();
    if !output.status.success() {
        bail!("a contender failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(took)
}

pub(super) fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[times.len() / 2]
}

pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = |micros: u64| Duration::from_micros(micros).as_secs_f64() * 1e3;
        write!(
            f,
            "{:<12} {} adds: {:.1} ms each at first, {:.1} ms at last, p99 {:.1} ms, {:.1} KiB \
             written each; list {:.1} ms; {:.1} MB resident",
            self.name,
            self.adds,
            milliseconds(self.add_first),
            milliseconds(self.add_last),
            milliseconds(self.add_p99),
            thousandths(self.written_per_add, 1024),
            milliseconds(self.list),
            thousandths(self.resident, 1_000_000),
        )?;
        self.depth.as_ref().map_or(Ok(()), |depth| write!(f, "\n{depth}"))
    }
}

/// A ratio of two integers, exact to three digits.
pub(super) fn thousandths(number: u64, unit: u64) -> f64 {
    let whole = u32::try_from(number.saturating_mul(1000) / unit.max(1)).unwrap_or(u32::MAX);
    f64::from(whole) / 1e3
}

/// The figures of one run, by contender.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Record(BTreeMap<String, Figures>);

impl Record {
    pub(super) fn insert(&mut self, figures: Figures) {
        self.0.insert(figures.name.clone(), figures);
    }

    /// What was stored; `None` if nothing has been.
    pub(super) fn read(path: &Path) -> Result<Option<Self>> {
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Some(serde_json::from_str(&text)?)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        std::fs::write(path, serde_json::to_string_pretty(self)? + "\n")?;
        Ok(())
    }

    /// Ours as ratios to each of the others, now and as stored.
    pub(super) fn beside(&self, before: &Self) -> String {
        let mut text = String::new();
        for other in self.0.keys().filter(|name| *name != OURS) {
            let now = self.ratios(other);
            let stored = before.ratios(other);
            for (at, (what, ratio)) in now.iter().enumerate() {
                let was =
                    stored.get(at).map_or(String::new(), |(_, was)| format!(" (was {was:.2})"));
                // Writing to a String cannot fail.
                let _ = writeln!(text, "bij / {other}, {what}: {ratio:.2}{was}");
            }
        }
        text
    }

    fn ratios(&self, other: &str) -> Vec<(&'static str, f64)> {
        let (Some(ours), Some(theirs)) = (self.0.get(OURS), self.0.get(other)) else {
            return Vec::new();
        };
        let ratio = |of: fn(&Figures) -> u64| thousandths(of(ours), of(theirs));
        vec![
            ("add to a short queue", ratio(|figures| figures.add_first)),
            ("add to a long queue", ratio(|figures| figures.add_last)),
            ("p99 of an add", ratio(|figures| figures.add_p99)),
            ("written an add", ratio(|figures| figures.written_per_add)),
            ("list", ratio(|figures| figures.list)),
            ("resident", ratio(|figures| figures.resident)),
        ]
    }
}
