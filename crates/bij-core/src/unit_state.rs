//! The status of an experiment's unit, as systemd reports it.

use std::fmt;
use std::str::FromStr;

use crate::{Bytes, CpuQuota, ExperimentId, InvocationId, Limit, Percent, Timestamp};

macro_rules! foreign_words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(from = "String", into = "String"))]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
            /// A word that a newer systemd has added.
            Other(String),
        }

        impl $name {
            /// Returns systemd's word.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Other(word) => word,
                }
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> Self {
                match word {
                    $($word => Self::$variant,)+
                    other => Self::Other(other.to_owned()),
                }
            }
        }

        impl From<String> for $name {
            fn from(word: String) -> Self {
                Self::from(word.as_str())
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.as_str().to_owned()
            }
        }

        impl FromStr for $name {
            type Err = std::convert::Infallible;
            fn from_str(word: &str) -> Result<Self, Self::Err> {
                Ok(Self::from(word))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

mod sub_state;

pub use sub_state::SubState;

foreign_words! {
    /// `ActiveState` of a unit (org.freedesktop.systemd1(5)).
    ActiveState {
        /// The unit is active.
        Active = "active",
        /// The unit is active and reloads its configuration.
        Reloading = "reloading",
        /// The unit is not running.
        Inactive = "inactive",
        /// The unit is not running because it failed.
        Failed = "failed",
        /// The unit is starting, or waits to be restarted.
        Activating = "activating",
        /// The unit is stopping.
        Deactivating = "deactivating",
    }
}

foreign_words! {
    /// `Result` of a service, the reason of its last termination (org.freedesktop.systemd1(5)).
    ServiceResult {
        /// It ended well, or by a signal that systemd treats as clean.
        Success = "success",
        /// systemd could not allocate the resources for the start.
        Resources = "resources",
        /// It violated the protocol of its `Type=`.
        Protocol = "protocol",
        /// A time-out expired.
        Timeout = "timeout",
        /// A process exited with a code other than 0.
        ExitCode = "exit-code",
        /// A signal killed a process.
        Signal = "signal",
        /// A signal killed a process, and a core dump was written.
        CoreDump = "core-dump",
        /// It sent no watchdog message in time.
        Watchdog = "watchdog",
        /// It was started too often.
        StartLimitHit = "start-limit-hit",
        /// The kernel killed one of its processes for its memory use (cgroup v2 only).
        OomKill = "oom-kill",
        /// `ExecCondition=` did not allow the start.
        ExecCondition = "exec-condition",
    }
}

foreign_words! {
    /// `LoadState` of a unit (org.freedesktop.systemd1(5)).
    LoadState {
        /// Its files are loaded.
        Loaded = "loaded",
        /// There is no file for it.
        NotFound = "not-found",
        /// An operator has masked it: `systemctl mask`.
        Masked = "masked",
        /// An essential setting of the unit or of one of its drop-ins is invalid.
        BadSetting = "bad-setting",
        /// One of its files cannot be read or parsed.
        Error = "error",
        /// It is another name of a unit that is loaded.
        Merged = "merged",
        /// It was not loaded yet.
        Stub = "stub",
    }
}

foreign_words! {
    /// How a job ended (org.freedesktop.systemd1(5), `JobRemoved`).
    JobResult {
        /// It did what was requested.
        Done = "done",
        /// Another job replaced it, or it was cancelled.
        Canceled = "canceled",
        /// It took longer than its time-out.
        Timeout = "timeout",
        /// It failed.
        Failed = "failed",
        /// A job that it depends on failed.
        Dependency = "dependency",
        /// It was not needed: a reload of a unit that is down, or a start that a condition did not allow.
        Skipped = "skipped",
    }
}

impl LoadState {
    /// Returns whether a unit in this state can be started, or could be once it exists.
    pub const fn can_start(&self) -> bool {
        matches!(self, Self::Loaded | Self::NotFound | Self::Merged | Self::Stub)
    }
}

impl ActiveState {
    /// Returns whether the unit is inactive or failed.
    pub const fn is_down(&self) -> bool {
        matches!(self, Self::Inactive | Self::Failed)
    }
}

/// The resource use of an experiment's processes, from the kernel's cgroup files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// The memory in use.
    pub memory_current: Option<Bytes>,
    /// The peak of memory use.
    pub memory_peak: Option<Bytes>,
    /// The memory limit in force.
    pub memory_max: Option<Limit<Bytes>>,
    /// Processor time used, in nanoseconds.
    pub cpu_usage_nsec: Option<u64>,
    /// The CPU quota in force.
    pub cpu_quota: Option<Limit<CpuQuota>>,
    /// Share of the last ten seconds in which some task waited for memory (PSI `some avg10`).
    pub memory_pressure: Option<Percent>,
}

/// The status of an experiment's unit. A unit manager creates it with [`down`](Self::down) and sets what it knows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnitStatus {
    /// The experiment of the unit.
    pub id: ExperimentId,
    /// Its high-level state.
    pub active_state: ActiveState,
    /// Its low-level state, in the words of services.
    pub sub_state: SubState,
    /// The reason of its last termination, if it was terminated.
    pub result: Option<ServiceResult>,
    /// The process id of its main process.
    pub main_pid: Option<u32>,
    /// The id of its current or last activation.
    pub invocation: Option<InvocationId>,
    /// When it entered its current state.
    pub since: Option<Timestamp>,
    /// Automatic restarts since the last manual start (`NRestarts`).
    pub restarts: Option<u32>,
    /// Whether a queued job is about to start the unit. In an automatic restart systemd stops a unit before it
    /// starts it, and shows it as `inactive` in between.
    pub start_due: bool,
    /// Whether its processes are frozen (`FreezerState`).
    pub frozen: bool,
    /// Whether it is started at boot.
    pub enabled: Option<bool>,
    /// Whether it is masked, so that it cannot be started until it is unmasked (`systemctl mask`).
    pub masked: bool,
    /// The last `STATUS=` text that it sent.
    pub status_text: Option<String>,
    /// Its resource use.
    pub resources: Resources,
}

impl UnitStatus {
    /// Creates the status of an inactive unit of which nothing else is known.
    pub fn down(id: ExperimentId) -> Self {
        Self {
            id,
            active_state: ActiveState::Inactive,
            sub_state: SubState::Dead,
            result: None,
            main_pid: None,
            invocation: None,
            since: None,
            restarts: None,
            start_due: false,
            frozen: false,
            enabled: None,
            masked: false,
            status_text: None,
            resources: Resources::default(),
        }
    }
}
