//! The definition of an experiment as plain data. `bij-definition` parses files into it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::variable::VariablePattern;
use crate::{Bytes, CpuQuota, ExperimentId, Limit, MemoryLimit, TimeSpan};

/// The version of the rendered drop-in; part of a definition's stamp.
///
/// Raise it whenever the same definition is rendered differently: every start after an upgrade then finds that
/// the loaded unit has an older rendering, and reloads.
pub const RENDERING: u32 = 9;

/// The definition of one experiment. All its values are valid.
///
/// No text contains a NUL byte, so each can be an argument, a variable or a path.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ExperimentSpec {
    /// The name of the experiment.
    pub id: ExperimentId,
    /// A description for people, in one line.
    pub description: Option<String>,
    /// Program and arguments, at least the program; `{config}` has been replaced.
    pub command: Vec<String>,
    /// A path or text that bij passes to the command uninterpreted, `$BIJ_CONFIG`.
    pub config: Option<String>,
    /// The working directory; the experiment's state directory if absent.
    pub directory: Option<AbsolutePath>,
    /// The user to run as; a dynamic user if absent.
    pub user: Option<String>,
    /// Variables to add to the environment.
    pub environment: BTreeMap<String, String>,
    /// Paths to write to, beside the experiment's state.
    pub writable: Vec<AbsolutePath>,
    /// The table `[limits]` of resource limits.
    pub limits: LimitsSpec,
    /// The table `[gpu]`, the use of the GPU.
    pub gpu: GpuSpec,
    /// The table `[queue]` of terms in the queue.
    pub queue: QueueSpec,
    /// The table `[restart]`, when the experiment is restarted.
    pub restart: RestartSpec,
    /// The table `[stop]`, how the experiment is stopped.
    pub stop: StopSpec,
    /// The table `[health]` of health checks.
    pub health: HealthSpec,
    /// The table `[thermal]`, the reaction to heat.
    pub thermal: ThermalSpec,
    /// The table `[power]` of power mode and clocks.
    pub power: PowerSpec,
    /// The key `profile` of `[sandbox]`.
    pub sandbox: SandboxProfile,
    /// The table `[policy]`, the extras that members may add.
    pub policy: ExtrasPolicy,
}

impl ExperimentSpec {
    /// Creates a definition with a command and defaults for all other settings.
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
            limits: LimitsSpec::default(),
            gpu: GpuSpec::default(),
            queue: QueueSpec::default(),
            restart: RestartSpec::default(),
            stop: StopSpec::default(),
            health: HealthSpec::default(),
            thermal: ThermalSpec::default(),
            power: PowerSpec::default(),
            sandbox: SandboxProfile::default(),
            policy: ExtrasPolicy::default(),
        }
    }
}

/// `[limits]`, with systemd's meanings. An absent limit leaves systemd's default in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitsSpec {
    /// Memory, and the claim that admission counts: `MemoryMax=`.
    pub memory: Option<MemoryLimit>,
    /// Swap space: `MemorySwapMax=`.
    pub swap: Option<MemoryLimit>,
    /// Processor time: `CPUQuota=`.
    pub cpu: Option<Limit<CpuQuota>>,
    /// The processors that it may run on: `AllowedCPUs=` and `CPUAffinity=`.
    pub cpus: Option<CpuSet>,
    /// Processes and threads: `TasksMax=`.
    pub tasks: Option<Limit<u64>>,
    /// The duration of an attempt: `RuntimeMaxSec=`.
    pub time: Option<Limit<TimeSpan>>,
    /// File descriptors of one process: `LimitNOFILE=`.
    pub open_files: Option<Limit<u64>>,
    /// Memory that one process may lock: `LimitMEMLOCK=`.
    pub locked_memory: Option<Limit<Bytes>>,
    /// The reaction to an OOM kill: `OOMPolicy=`.
    pub oom_policy: OomPolicy,
}

impl LimitsSpec {
    /// The default number of tasks: `TasksMax=` of the unit template.
    pub const DEFAULT_TASKS: Limit<u64> = Limit::At(4096);
}

/// `OOMPolicy=` (systemd.service(5)): what happens to the other processes after an OOM kill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OomPolicy {
    /// They continue; the kill is logged.
    Continue,
    /// The unit is stopped cleanly.
    #[default]
    Stop,
    /// The kernel kills all of them.
    Kill,
}

/// `[gpu]`: the use of the GPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GpuSpec {
    /// Whether the experiment may use the GPU.
    pub access: bool,
    /// Whether no other experiment may use the GPU at the same time.
    pub exclusive: bool,
    /// The GPU memory that it claims.
    pub memory: Option<MemoryLimit>,
}

/// `[queue]`: terms in the queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueSpec {
    /// The priority; runs with a higher priority start first.
    pub priority: i32,
    /// The group whose slots it uses; `default` if absent.
    pub group: Option<String>,
    /// The experiments that must have succeeded before.
    pub after: Option<After>,
}

/// `[queue] after`: the experiments that must have succeeded before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum After {
    /// All of these experiments must have succeeded.
    All(Vec<ExperimentId>),
    /// One of these experiments must have succeeded.
    Any(Vec<ExperimentId>),
}

/// `[restart]`: the settings of `Restart=on-failure`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestartSpec {
    /// The delay before a restart: `RestartSec=`.
    pub delay: TimeSpan,
    /// The most starts within the interval, the first start included: `StartLimitBurst=`.
    pub burst: u32,
    /// The interval of the start limit: `StartLimitIntervalSec=`.
    pub interval: Limit<TimeSpan>,
    /// What a reboot does to an unfinished run.
    pub on_reboot: OnReboot,
    /// Whether an enabled experiment that has succeeded runs again at boot.
    pub rerun_at_boot: bool,
}

impl Default for RestartSpec {
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

/// `[restart] on_reboot`: what a reboot does to an unfinished run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnReboot {
    /// The run continues at once.
    #[default]
    Resume,
    /// The run is put back into the queue.
    Requeue,
    /// The run is held until it is released.
    Hold,
}

/// `[stop]`: how the experiment is stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopSpec {
    /// The signal with its `SIG` prefix: `KillSignal=`.
    pub signal: String,
    /// The time from the request to SIGKILL: `TimeoutStopSec=`.
    pub grace: TimeSpan,
}

impl Default for StopSpec {
    fn default() -> Self {
        Self { signal: "SIGTERM".to_owned(), grace: TimeSpan::from_secs(90) }
    }
}

/// `[health]`: health checks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthSpec {
    /// Whether the unit has `Type=notify` instead of `exec`, and reports readiness by `READY=1`.
    pub notify: bool,
    /// The longest time between watchdog messages: `WatchdogSec=`.
    pub watchdog: Option<TimeSpan>,
    /// The time without a new step after which the experiment counts as stalled.
    pub stall_after: Option<TimeSpan>,
    /// The time to become ready: `TimeoutStartSec=`.
    pub start_timeout: Option<Limit<TimeSpan>>,
}

/// `[thermal]`: the reaction to heat.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ThermalSpec {
    /// The temperature in degrees above which it does not start and is throttled.
    pub max_celsius: Option<f64>,
    /// Whether it may be frozen for a while before it is stopped for heat. By default only without a watchdog,
    /// because the watchdog's time passes while the processes are frozen.
    pub freeze: Option<bool>,
}

impl ThermalSpec {
    /// Returns whether an experiment with this watchdog may be frozen.
    pub fn may_freeze(&self, watchdog: Option<TimeSpan>) -> bool {
        self.freeze.unwrap_or(watchdog.is_none())
    }
}

/// `[power]`: power mode and clocks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PowerSpec {
    /// The power mode that the experiment needs.
    pub mode: Option<PowerModeRef>,
    /// The clocks of the board while it runs.
    pub clocks: Clocks,
}

/// `[power] clocks`: the clocks of the board.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clocks {
    /// The clocks follow the load.
    #[default]
    Dynamic,
    /// All clocks are fixed at the maximum of the power mode, as by `jetson_clocks`.
    Max,
}

impl Clocks {
    /// All settings of the clocks.
    pub const ALL: [Self; 2] = [Self::Dynamic, Self::Max];

    /// Returns the name in definitions, output and databases.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dynamic => "dynamic",
            Self::Max => "max",
        }
    }
}

/// A power mode of the board's nvpmodel list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PowerModeRef {
    /// The mode with this number.
    Number(u32),
    /// The mode with this name.
    Name(String),
}

impl fmt::Display for PowerModeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => f.pad(name),
        }
    }
}

/// A number is always a mode's number, because no mode of nvpmodel has a number as its name.
impl From<&str> for PowerModeRef {
    fn from(text: &str) -> Self {
        let text = text.trim();
        text.parse().map_or_else(|_| Self::Name(text.to_owned()), Self::Number)
    }
}

/// `[sandbox] profile`: how strictly the unit is sandboxed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SandboxProfile {
    /// Hardened, but compatible with ML libraries.
    #[default]
    Default,
    /// Hardened further: no network, no writable and executable memory, and only processes in /proc.
    Strict,
    /// No sandbox; only the rights of its user restrict it.
    Trusted,
}

/// `[policy]`: the extras that members of group `bij` may add to a run. Root may add any valid extras.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtrasPolicy {
    /// The variables that they may set; `None` allows none.
    pub environment: Option<Vec<VariablePattern>>,
    /// Whether they may pass another config to the command; `None` does not allow it.
    pub config: Option<bool>,
}

impl ExtrasPolicy {
    /// Returns this policy, with `defaults` for absent settings.
    #[must_use]
    pub fn or(&self, defaults: &Self) -> Self {
        Self {
            environment: self.environment.clone().or_else(|| defaults.environment.clone()),
            config: self.config.or(defaults.config),
        }
    }

    /// Returns whether members may set a variable of this name.
    pub fn allows(&self, name: &str) -> bool {
        let patterns = self.environment.as_deref().unwrap_or_default();
        patterns.iter().any(|pattern| pattern.matches(name))
    }
}

/// A path that begins with `/`, without control characters and `..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AbsolutePath(String);

/// The error for a text that is not an [`AbsolutePath`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not an absolute path without control characters and `..`")]
pub struct InvalidPath(pub String);

impl AbsolutePath {
    /// Returns the path as text.
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

/// The error for a text that is not a [`CpuSet`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not a set of processors such as 0-3,8")]
pub struct InvalidCpuSet(pub String);

impl CpuSet {
    /// The highest processor number: the kernel's `CONFIG_NR_CPUS` is 8192 at most.
    pub const MAX: u16 = 8191;

    /// Returns the processors in ascending order.
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
