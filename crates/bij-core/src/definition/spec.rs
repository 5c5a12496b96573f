//! A definition that has been checked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::policy::Policy;
use crate::{Bytes, CpuQuota, ExperimentId, Limit, MemoryLimit, TimeSpan};

/// One experiment's definition: everything in it is legal.
///
/// No text in it holds a NUL byte, so all of it can become arguments, environment and paths.
#[derive(Clone, Debug, PartialEq)]
pub struct ExperimentSpec {
    /// Its name.
    pub id: ExperimentId,
    /// A line for people.
    pub description: Option<String>,
    /// Program and arguments, at least the program; `{config}` has been replaced.
    pub command: Vec<String>,
    /// A file or text that is opaque to bij and handed to the command, `$BIJ_CONFIG`.
    pub config: Option<String>,
    /// The working directory; the experiment's state directory if absent.
    pub directory: Option<AbsolutePath>,
    /// The user it runs as; a dynamic user of its own if absent.
    pub user: Option<String>,
    /// Added to its environment.
    pub environment: BTreeMap<String, String>,
    /// Paths that it may write besides its state.
    pub writable: Vec<AbsolutePath>,
    /// `[limits]`.
    pub limits: Limits,
    /// `[gpu]`.
    pub gpu: Gpu,
    /// `[queue]`.
    pub queue: Queue,
    /// `[restart]`.
    pub restart: Restart,
    /// `[stop]`.
    pub stop: Stop,
    /// `[health]`.
    pub health: Health,
    /// `[thermal]`.
    pub thermal: Thermal,
    /// `[power]`.
    pub power: Power,
    /// `[sandbox] profile`.
    pub sandbox: SandboxProfile,
    /// `[policy]`.
    pub policy: Policy,
}

impl ExperimentSpec {
    /// A definition with nothing but a command: every other setting at its default.
    pub fn new(id: ExperimentId, command: Vec<String>) -> Self {
        Self {
            id,
            description: None,
            command,
            config: None,
            directory: None,
            user: None,
            environment: BTreeMap::new(),
            writable: Vec::new(),
            limits: Limits::default(),
            gpu: Gpu::default(),
            queue: Queue::default(),
            restart: Restart::default(),
            stop: Stop::default(),
            health: Health::default(),
            thermal: Thermal::default(),
            power: Power::default(),
            sandbox: SandboxProfile::default(),
            policy: Policy::default(),
        }
    }
}

/// `[limits]`: systemd's meanings; absent means that systemd's own default holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// `MemoryMax=`, and the claim that admission counts.
    pub memory: Option<MemoryLimit>,
    /// `MemorySwapMax=`.
    pub swap: Option<MemoryLimit>,
    /// `CPUQuota=`.
    pub cpu: Option<Limit<CpuQuota>>,
    /// The processors it may run on: `AllowedCPUs=` and `CPUAffinity=`.
    pub cpus: Option<CpuSet>,
    /// `TasksMax=`.
    pub tasks: Option<Limit<u64>>,
    /// `RuntimeMaxSec=`.
    pub time: Option<Limit<TimeSpan>>,
    /// `LimitNOFILE=`: file descriptors of one process.
    pub open_files: Option<Limit<u64>>,
    /// `LimitMEMLOCK=`: memory that one process may lock.
    pub locked_memory: Option<Limit<Bytes>>,
    /// `OOMPolicy=`.
    pub oom_policy: OomPolicy,
}

impl Limits {
    /// `TasksMax=` of the template, where a definition sets none.
    pub const DEFAULT_TASKS: Limit<u64> = Limit::At(4096);
}

/// `OOMPolicy=` (systemd.service(5)): what happens to the rest when one process is killed for
/// memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OomPolicy {
    /// Only logged.
    Continue,
    /// The rest is stopped in good order.
    #[default]
    Stop,
    /// The kernel kills the rest as well.
    Kill,
}

/// `[gpu]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gpu {
    /// Whether it may use the GPU.
    pub access: bool,
    /// Whether nobody else may meanwhile.
    pub exclusive: bool,
    /// The GPU memory it claims.
    pub memory: Option<MemoryLimit>,
}

/// `[queue]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// Higher goes first.
    pub priority: i32,
    /// The group whose slots it uses; `default` if absent.
    pub group: Option<String>,
    /// What must have happened before.
    pub after: Option<After>,
}

/// `[queue] after`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum After {
    /// All of these have succeeded.
    All(Vec<ExperimentId>),
    /// One of these has succeeded.
    Any(Vec<ExperimentId>),
}

/// `[restart]`: `Restart=on-failure` and its pace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restart {
    /// `RestartSec=`.
    pub delay: TimeSpan,
    /// `StartLimitBurst=`: starts within the interval, the first one counted.
    pub burst: u32,
    /// `StartLimitIntervalSec=`.
    pub interval: Limit<TimeSpan>,
    /// What a reboot does to an unfinished run.
    pub on_reboot: OnReboot,
    /// Whether an enabled experiment that has succeeded runs again at boot.
    pub rerun_at_boot: bool,
}

impl Default for Restart {
    fn default() -> Self {
        Self {
            delay: TimeSpan::from_secs(5),
            burst: 3,
            interval: Limit::At(TimeSpan::from_secs(300)),
            on_reboot: OnReboot::default(),
            rerun_at_boot: false,
        }
    }
}

/// `[restart] on_reboot`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnReboot {
    /// Carried on at once.
    #[default]
    Resume,
    /// Back into the queue.
    Requeue,
    /// Held until somebody releases it.
    Hold,
}

/// `[stop]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// `KillSignal=`, with its `SIG` prefix.
    pub signal: String,
    /// `TimeoutStopSec=`: from the request to SIGKILL.
    pub grace: TimeSpan,
}

impl Default for Stop {
    fn default() -> Self {
        Self { signal: "SIGTERM".to_owned(), grace: TimeSpan::from_secs(90) }
    }
}

/// `[health]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// `Type=notify` instead of `exec`: `READY=1` says that it is up.
    pub notify: bool,
    /// `WatchdogSec=`.
    pub watchdog: Option<TimeSpan>,
    /// It is stalled if there is no new step for so long.
    pub stall_after: Option<TimeSpan>,
    /// `TimeoutStartSec=`.
    pub start_timeout: Option<Limit<TimeSpan>>,
}

/// `[thermal]`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Thermal {
    /// It does not start, and is throttled, above this.
    pub max_celsius: Option<f64>,
    /// Whether it may be frozen for a while before it is stopped for heat. Unless said otherwise it may
    /// if it has no watchdog, which goes on counting.
    pub freeze: Option<bool>,
}

impl Thermal {
    /// Whether an experiment with this watchdog may be frozen.
    pub fn may_freeze(&self, watchdog: Option<TimeSpan>) -> bool {
        self.freeze.unwrap_or(watchdog.is_none())
    }
}

/// `[power]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Power {
    /// The power mode it wants.
    pub mode: Option<PowerMode>,
    /// How the clocks of the board are to be while it is up.
    pub clocks: Clocks,
}

/// `[power] clocks`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clocks {
    /// They follow the load.
    #[default]
    Dynamic,
    /// All are held at the highest that the power mode allows: what `jetson_clocks` does.
    Max,
}

impl Clocks {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Dynamic, Self::Max];

    /// The word for it in definitions, output and databases.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dynamic => "dynamic",
            Self::Max => "max",
        }
    }
}

/// A power mode of the board's own list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PowerMode {
    /// By number.
    Number(u32),
    /// By name.
    Name(String),
}

impl fmt::Display for PowerMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => f.pad(name),
        }
    }
}

/// No mode of nvpmodel has a number for its name.
impl From<&str> for PowerMode {
    fn from(text: &str) -> Self {
        let text = text.trim();
        text.parse().map_or_else(|_| Self::Name(text.to_owned()), Self::Number)
    }
}

/// `[sandbox] profile`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SandboxProfile {
    /// Hardened, and ML libraries still work.
    #[default]
    Default,
    /// Hardened further: no network, no writable and executable memory, nothing of /proc but
    /// processes.
    Strict,
    /// No sandbox but the user it runs as.
    Trusted,
}

/// A path that begins with `/` and holds no control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AbsolutePath(String);

/// Why a text is no absolute path.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not an absolute path without control characters and `..`")]
pub struct InvalidPath(pub String);

impl AbsolutePath {
    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AbsolutePath {
    type Err = InvalidPath;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let valid = text.starts_with('/')
            && !text.chars().any(char::is_control)
            && !text.split('/').any(|part| part == "..");
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidPath(text.to_owned())) }
    }
}

/// A set of processors, written `0-3,8`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuSet(BTreeSet<u16>);

/// Why a text is no set of processors.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not a set of processors such as 0-3,8")]
pub struct InvalidCpuSet(pub String);

impl CpuSet {
    /// The highest processor number taken: the kernel's `CONFIG_NR_CPUS` is 8192 at most.
    pub const MAX: u16 = 8191;

    /// The processors in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.0.iter().copied()
    }
}

impl FromStr for CpuSet {
    type Err = InvalidCpuSet;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidCpuSet(text.chars().take(80).collect());
        let mut cpus = BTreeSet::new();
        for part in text.split([',', ' ']).filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let number = |text: &str| text.parse::<u16>().ok().filter(|cpu| *cpu <= Self::MAX);
            let (first, last) = number(first).zip(number(last)).ok_or_else(invalid)?;
            if first > last {
                return Err(invalid());
            }
            cpus.extend(first..=last);
        }
        if cpus.is_empty() { Err(invalid()) } else { Ok(Self(cpus)) }
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.iter().copied().peekable();
        let mut separator = "";
        while let Some(first) = rest.next() {
            let mut last = first;
            while rest.next_if_eq(&(last + 1)).is_some() {
                last += 1;
            }
            write!(f, "{separator}{first}")?;
            if last > first {
                write!(f, "-{last}")?;
            }
            separator = ",";
        }
        Ok(())
    }
}
