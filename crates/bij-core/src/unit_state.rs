//! systemd's view of an experiment's unit.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Bytes, CpuQuota, ExperimentId, InvocationId, Limit, Percent, Timestamp};

macro_rules! foreign_words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
            /// A word that a newer systemd has added.
            Other(String),
        }

        impl $name {
            /// systemd's word for it.
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

foreign_words! {
    /// `ActiveState` of a unit (org.freedesktop.systemd1(5)).
    ActiveState {
        /// It is up.
        Active = "active",
        /// It is up and reloads its configuration.
        Reloading = "reloading",
        /// It is down.
        Inactive = "inactive",
        /// It is down because it failed.
        Failed = "failed",
        /// It is on its way up; also while it waits to be restarted.
        Activating = "activating",
        /// It is on its way down.
        Deactivating = "deactivating",
    }
}

foreign_words! {
    /// `Result` of a service: why it was last terminated (org.freedesktop.systemd1(5)).
    ServiceResult {
        /// It ended well, or by a signal that systemd takes for clean.
        Success = "success",
        /// systemd could not get what the start needed.
        Resources = "resources",
        /// It broke the rules of its `Type=`.
        Protocol = "protocol",
        /// A time-out ran out.
        Timeout = "timeout",
        /// A process left with a code other than 0.
        ExitCode = "exit-code",
        /// A signal killed a process.
        Signal = "signal",
        /// A signal killed a process and a core was written.
        CoreDump = "core-dump",
        /// The watchdog was not fed.
        Watchdog = "watchdog",
        /// It was started too often.
        StartLimitHit = "start-limit-hit",
        /// The kernel killed one of its processes for memory (cgroup v2 only).
        OomKill = "oom-kill",
        /// `ExecCondition=` said no.
        ExecCondition = "exec-condition",
    }
}

impl ActiveState {
    /// Whether it is down, well or not, and not on its way anywhere.
    pub const fn is_down(&self) -> bool {
        matches!(self, Self::Inactive | Self::Failed)
    }
}

/// What an experiment's processes use, from the kernel's cgroup files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Memory in use now.
    pub memory_current: Option<Bytes>,
    /// Most memory in use at once.
    pub memory_peak: Option<Bytes>,
    /// The limit in force.
    pub memory_max: Option<Limit<Bytes>>,
    /// Processor time used, in nanoseconds.
    pub cpu_usage_nsec: Option<u64>,
    /// The quota in force.
    pub cpu_quota: Option<Limit<CpuQuota>>,
    /// Share of the last ten seconds in which some task waited for memory, (PSI `some avg10`).
    pub memory_pressure: Option<Percent>,
}

/// One experiment's unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitStatus {
    /// Whose unit.
    pub id: ExperimentId,
    /// Its high-level state.
    pub active_state: ActiveState,
    /// Its low-level state: `running`, `auto-restart`, `dead`, …
    pub sub_state: String,
    /// Why it was last terminated, if it was.
    pub result: Option<ServiceResult>,
    /// Its main process.
    pub main_pid: Option<u32>,
    /// This life of the unit.
    pub invocation: Option<InvocationId>,
    /// Since when it is in its state.
    pub since: Option<Timestamp>,
    /// Automatic restarts since the last manual start (`NRestarts`).
    pub restarts: Option<u32>,
    /// Whether it is down only for now: a job is about to bring it up. In an automatic restart
    /// systemd stops a unit before it starts it, and shows it as `inactive` in between.
    pub start_due: bool,
    /// Whether its processes stand still until somebody thaws it (`FreezerState`).
    pub frozen: bool,
    /// Whether it is started at boot.
    pub enabled: Option<bool>,
    /// Whether it cannot be started, by anybody, until it is unmasked (`systemctl mask`).
    pub masked: bool,
    /// Its last `STATUS=` text.
    pub status_text: Option<String>,
    /// What it uses.
    pub resources: Resources,
}

impl UnitStatus {
    /// A unit of which nothing is known but that it is down.
    pub fn down(id: ExperimentId) -> Self {
        Self {
            id,
            active_state: ActiveState::Inactive,
            sub_state: "dead".to_owned(),
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
