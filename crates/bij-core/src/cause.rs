//! Why an attempt ended.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Why an attempt ended, decided by [`Evidence::prove`](crate::Evidence::prove).
///
/// Causes will be added: a `match` outside of this crate has an arm for the others, and
/// [`is_crash`](Self::is_crash) says what kind of end they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Cause {
    /// It exited with code 0 without having been asked to end.
    Success,
    /// It exited with another code; 75 (`EX_TEMPFAIL`) asks to be resumed and is not a crash.
    Exit,
    /// A signal killed its main process.
    Signal,
    /// The kernel, or the supervisor's memory watcher, killed it for its memory use.
    OomKill,
    /// It sent no watchdog message for longer than `WatchdogSec=`.
    Watchdog,
    /// It never ran: systemd could not prepare or execute it.
    StartFailed,
    /// It did not report that it was ready within `TimeoutStartSec=`.
    StartTimeout,
    /// It was asked to stop, did not exit within `TimeoutStopSec=`, and was killed.
    StopTimeout,
    /// It ran for longer than `RuntimeMaxSec=`.
    TimeLimit,
    /// It was stopped on request.
    Stopped,
    /// It was stopped because the board was too hot; its run continues when the board has cooled down.
    Heat,
    /// It was stopped because it used more GPU memory than its limit.
    GpuMemory,
    /// The machine was shut down or rebooted cleanly.
    Reboot,
    /// The service manager of its user was stopped, usually with the user's last session, while the machine
    /// kept running. Its run continues when that manager starts again.
    ManagerStop,
    /// The machine stopped without a shutdown: power cut, kernel crash, reset.
    PowerLoss,
    /// It ended, and no evidence shows how.
    Unknown,
}

/// A word that does not name a cause.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not a cause")]
pub struct UnknownCause(pub String);

impl Cause {
    /// All causes, in the order in which output lists them.
    pub const ALL: &[Self] = &[
        Self::Success,
        Self::Exit,
        Self::Signal,
        Self::OomKill,
        Self::Watchdog,
        Self::StartFailed,
        Self::StartTimeout,
        Self::StopTimeout,
        Self::TimeLimit,
        Self::Stopped,
        Self::Heat,
        Self::GpuMemory,
        Self::Reboot,
        Self::ManagerStop,
        Self::PowerLoss,
        Self::Unknown,
    ];

    /// Returns the name of the cause in output, files and databases.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Exit => "exit",
            Self::Signal => "signal",
            Self::OomKill => "oom-kill",
            Self::Watchdog => "watchdog",
            Self::StartFailed => "start-failed",
            Self::StartTimeout => "start-timeout",
            Self::StopTimeout => "stop-timeout",
            Self::TimeLimit => "time-limit",
            Self::Stopped => "stopped",
            Self::Heat => "heat",
            Self::GpuMemory => "gpu-memory",
            Self::Reboot => "reboot",
            Self::ManagerStop => "manager-stop",
            Self::PowerLoss => "power-loss",
            Self::Unknown => "unknown",
        }
    }

    /// Returns whether an attempt with this cause crashed, which means that its end was not requested.
    ///
    /// A time limit is requested by the definition, exit code 75 by the experiment itself.
    pub const fn is_crash(self, exit_code: Option<i32>) -> bool {
        match self {
            Self::Exit => !matches!(exit_code, Some(EXIT_RESUME)),
            Self::Signal
            | Self::OomKill
            | Self::GpuMemory
            | Self::Watchdog
            | Self::StartFailed
            | Self::StartTimeout
            | Self::StopTimeout
            | Self::PowerLoss
            | Self::Unknown => true,
            Self::Success
            | Self::TimeLimit
            | Self::Stopped
            | Self::Heat
            | Self::Reboot
            | Self::ManagerStop => false,
        }
    }
}

/// `EX_TEMPFAIL` of sysexits.h(3head): "checkpointed, resume me".
pub(crate) const EXIT_RESUME: i32 = 75;
/// `EX_CONFIG` of sysexits.h(3head): "never resurrect me".
pub(crate) const EXIT_NEVER: i32 = 78;

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Cause {
    type Err = UnknownCause;
    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .find(|cause| cause.as_str() == word)
            .copied()
            .ok_or_else(|| UnknownCause(word.to_owned()))
    }
}
