//! What is known about the end of an attempt, and the cause that follows from it.

use crate::{Bytes, Cause, Limit, Progress, ServiceResult, TimeSpan};

mod child;
mod left_behind;
mod proof;

pub use left_behind::LeftBehind;

/// How the main process ended, as waitid(2) reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
    /// This signal killed it, and a core dump was written.
    CoreDump(i32),
}

impl Exit {
    /// Returns the exit code; `None` if a signal killed it.
    pub const fn code(self) -> Option<i32> {
        match self {
            Self::Code(code) => Some(code),
            Self::Signal(_) | Self::CoreDump(_) => None,
        }
    }

    /// Returns whether the code is one of systemd's own: the program was not executed, unless it chose such a
    /// code itself (systemd.exec(5), "Process Exit Codes").
    pub const fn is_systemd_status(self) -> bool {
        matches!(self, Self::Code(200..))
    }

    /// Returns the signal that killed it; `None` if it exited by itself.
    pub const fn signal(self) -> Option<i32> {
        match self {
            Self::Code(_) => None,
            Self::Signal(signal) | Self::CoreDump(signal) => Some(signal),
        }
    }
}

/// An order to stop that was in force when the attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Order {
    /// Why the attempt had to stop.
    pub kind: OrderKind,
    /// The origin of the order, as far as known: `bij stop by alice (uid 1000)`, `systemd job stop`.
    pub by: String,
}

impl Order {
    /// Creates an order of kind [`OrderKind::Stop`].
    pub fn stop(by: impl Into<String>) -> Self {
        Self { kind: OrderKind::Stop, by: by.into() }
    }
}

/// The kind of an order to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum OrderKind {
    /// A requested stop or restart.
    Stop,
    /// A stop because the board is too hot.
    Heat,
    /// A stop because the attempt uses too much GPU memory.
    GpuMemory,
    /// A stop because the time limit has passed and the service manager has not enforced it.
    TimeLimit,
    /// The machine shuts down.
    Shutdown,
    /// The user's service manager stops, while the machine keeps running.
    ManagerStop,
}

impl OrderKind {
    /// Returns the cause of an attempt that ended because of such an order.
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

/// The component that observed the end of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Witness {
    /// `bij-hook end`, in the cgroup of the unit.
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

/// How a peak was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum PeakSource {
    /// By the kernel, as a high-water mark.
    Kernel,
    /// As the largest of samples; the true peak may be higher.
    Sampled,
}

/// What is known about the end of an attempt; every part may be missing.
///
/// The ledger keeps all of it as JSON, so that a cause can be explained later, and proved again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
#[non_exhaustive]
pub struct Evidence {
    /// The component that observed the end.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub witness: Option<Witness>,
    /// systemd's `$SERVICE_RESULT` (systemd.exec(5)), or what a supervisor would call it.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub service_result: Option<ServiceResult>,
    /// How the main process ended; absent if it never ran.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub exit: Option<Exit>,
    /// What systemd means by an exit code of 200 or above, if the code is systemd's.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub exit_meaning: Option<String>,
    /// Whether the attempt became ready (executed; with `Type=notify`: sent `READY=1`).
    pub became_ready: bool,
    /// Whether the main process had exited before its unit began to stop.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "std::ops::Not::not"))]
    pub left_by_itself: bool,
    /// How long the process ran, by a monotonic clock.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub ran_for: Option<TimeSpan>,
    /// `RuntimeMaxSec=` in force.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub time_limit: Option<TimeSpan>,
    /// The order to stop that was in force.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub order: Option<Order>,
    /// Processes of this attempt that were killed for memory (`oom_kill` of `memory.events` or
    /// `memory.oom_control`).
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub oom_kills: Option<u64>,
    /// How often the memory limit was hit (`max` of `memory.events`, or `memory.failcnt`).
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub memory_limit_hits: Option<u64>,
    /// The peak of memory use.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub memory_peak: Option<Bytes>,
    /// How the peak was measured.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub memory_peak_source: Option<PeakSource>,
    /// The memory limit in force.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub memory_max: Option<Limit<Bytes>>,
    /// Processor time used, in nanoseconds.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub cpu_usage_nsec: Option<u64>,
    /// The kernel's log line about the OOM kill, if it can be read.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub kernel_line: Option<String>,
    /// The last `STATUS=` text that the experiment sent.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub status_text: Option<String>,
    /// The last progress that the experiment reported.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub progress: Option<Progress>,
    /// systemd's `NRestarts` when the attempt ended.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub restarts: Option<u32>,
    /// The last lines that the experiment printed before it crashed, oldest first, each cut to a few hundred
    /// characters. They outlive the journal, and only accounts that may open the database see them.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Vec::is_empty"))]
    pub last_lines: Vec<String>,
    /// The processes that the main process left behind.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub left_behind: Option<LeftBehind>,
    /// Further remarks for people, one sentence each.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Vec::is_empty"))]
    pub notes: Vec<String>,
}

impl Evidence {
    /// Returns the cause that follows from the evidence, in the order of proof of `evidence/proof.rs`.
    pub fn prove(&self) -> Cause {
        proof::prove(self)
    }
}
