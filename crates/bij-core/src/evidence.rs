//! What the witnesses of an attempt's end say, and what follows from it.

use serde::{Deserialize, Serialize};

use crate::{Bytes, Cause, Limit, Progress, ServiceResult, TimeSpan};

mod left_behind;
mod proof;

pub use left_behind::LeftBehind;

/// How the main process ended, as waitid(2) tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// It left by itself with this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
    /// This signal killed it and a core was written.
    CoreDump(i32),
}

impl Exit {
    /// The exit code, if it left by itself.
    pub const fn code(self) -> Option<i32> {
        match self {
            Self::Code(code) => Some(code),
            Self::Signal(_) | Self::CoreDump(_) => None,
        }
    }

    /// Whether it is a status of systemd's own, which says that the program was not executed unless
    /// the program has chosen it (systemd.exec(5), "Process Exit Codes").
    pub const fn is_of_systemd(self) -> bool {
        matches!(self, Self::Code(200..))
    }

    /// The signal that killed it.
    pub const fn signal(self) -> Option<i32> {
        match self {
            Self::Code(_) => None,
            Self::Signal(signal) | Self::CoreDump(signal) => Some(signal),
        }
    }
}

/// An order to end that was in force when the attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// What was ordered.
    pub kind: OrderKind,
    /// By whom, as far as is known: `bij stop by alice (uid 1000)`, `systemd job stop`.
    pub by: String,
}

impl Order {
    /// Somebody wants it stopped.
    pub fn stop(by: impl Into<String>) -> Self {
        Self { kind: OrderKind::Stop, by: by.into() }
    }
}

/// What was ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderKind {
    /// Stop, or restart.
    Stop,
    /// Leave, because the board is too hot.
    Heat,
    /// Leave, because of the GPU's memory that it uses.
    GpuMemory,
    /// Leave, because a limit of time is over and the service manager has not stopped it.
    TimeLimit,
    /// The whole machine goes down.
    Shutdown,
    /// The service manager of the user goes down, and the machine does not.
    ManagerStop,
}

impl OrderKind {
    /// Why an attempt ended that has followed such an order.
    pub const fn cause(self) -> Cause {
        match self {
            Self::Stop => Cause::Stopped,
            Self::Heat => Cause::Heat,
            Self::GpuMemory => Cause::GpuMemory,
            Self::TimeLimit => Cause::TimeLimit,
            Self::Shutdown => Cause::Reboot,
            Self::ManagerStop => Cause::ManagerStop,
        }
    }
}

/// Who saw the attempt end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Witness {
    /// `bij-hook end`, in the unit's own cgroup.
    Hook,
    /// The records of PID 1 and the kernel in the journal.
    Journal,
    /// The supervisor that started it.
    Supervisor,
    /// Another boot found it still open.
    NextBoot,
    /// The next start in the same boot found it still open.
    NextStart,
    /// The coordinator found it still open while its unit was down.
    Coordinator,
}

/// Where a peak comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeakSource {
    /// The kernel's own high-water mark.
    Kernel,
    /// The largest of samples: the true peak may be higher.
    Sampled,
}

/// What is known about the end of an attempt; every part may be missing.
///
/// It is kept whole in the ledger (as JSON), so that a verdict can be read again, and given again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Evidence {
    /// Who saw it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub witness: Option<Witness>,
    /// systemd's `$SERVICE_RESULT` (systemd.exec(5)), or what a supervisor would call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_result: Option<ServiceResult>,
    /// How the main process ended; absent if it never ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// What systemd means by an exit code of 200 and above, where it applies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_meaning: Option<String>,
    /// Whether the attempt ever was up (executed; with `Type=notify`: said `READY=1`).
    pub became_ready: bool,
    /// Whether the main process had ended before its unit began to stop: it left by itself.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub left_by_itself: bool,
    /// How long the process ran, by a clock that does not jump.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ran_for: Option<TimeSpan>,
    /// `RuntimeMaxSec=` in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_limit: Option<TimeSpan>,
    /// An order to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// Processes of this attempt that were killed for memory (`oom_kill` of `memory.events` or
    /// `memory.oom_control`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_kills: Option<u64>,
    /// How often the memory limit was hit (`max` of `memory.events`, or `memory.failcnt`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_limit_hits: Option<u64>,
    /// Most memory used at once, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_peak: Option<Bytes>,
    /// Where the peak comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_peak_source: Option<PeakSource>,
    /// The memory limit in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_max: Option<Limit<Bytes>>,
    /// Processor time used, in nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_usage_nsec: Option<u64>,
    /// The kernel's line about the kill, where it can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_line: Option<String>,
    /// The last `STATUS=` text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_text: Option<String>,
    /// The last progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// systemd's `NRestarts` at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restarts: Option<u32>,
    /// The last lines that the experiment printed before it crashed, oldest first, each cut to some hundred
    /// characters. They outlive the journal, and only those who may open the database see them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub last_lines: Vec<String>,
    /// The processes that its main process left behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_behind: Option<LeftBehind>,
    /// What else a reader should know, one sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Evidence {
    /// The cause that follows from the evidence; the order of proof is told in `proof.rs`.
    pub fn prove(&self) -> Cause {
        proof::prove(self)
    }
}
