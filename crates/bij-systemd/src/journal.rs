//! Reads the journal through `journalctl`, which understands the files of its own version, has the required
//! permissions, and is always installed.
//!
//! Arguments and records are built and parsed by pure code; [`Journal`] runs the program.

mod arguments;
mod end;
mod entries;
mod process;
mod record;
mod trust;

use bij_core::{BootId, InvocationId, MonotonicTime, Timestamp};

use crate::kernel_log;
use crate::scope::{tool_command, tool_path};
use crate::{RuntimeScope, UnitName};

pub use end::JournalEnd;
#[cfg(test)]
pub(crate) use end::read as read_end;
pub use entries::{JournalEntries, JournalEntry, JournalFilter};
pub use process::{JournalError, JournalStopper};
pub use record::InvalidJournalRecord;

pub(crate) use arguments::{format_time, options};
pub(crate) use process::Records;
pub(crate) use record::Record;
pub(crate) use trust::{MANAGER_UNIT, TrustedWriters};

/// When the oldest entry of a boot was written, by two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OldestEntry {
    /// The time of day (`CLOCK_REALTIME`).
    pub at: Timestamp,
    /// The time by the monotonic clock.
    pub monotonic: Option<MonotonicTime>,
}

/// The journal of the units of one service manager.
#[derive(Clone, Debug)]
pub struct Journal {
    scope: RuntimeScope,
    trust: TrustedWriters,
    program: String,
}

impl Journal {
    /// Creates a reader of the system's journal, or of that of the calling user's manager.
    pub fn new(scope: RuntimeScope) -> Self {
        let trust = match scope {
            RuntimeScope::System => TrustedWriters::System,
            RuntimeScope::User => TrustedWriters::User { uid: nix::unistd::getuid() },
        };
        Self { scope, trust, program: tool_path("journalctl") }
    }

    pub(crate) const fn scope(&self) -> RuntimeScope {
        self.scope
    }

    pub(crate) const fn trust(&self) -> TrustedWriters {
        self.trust
    }

    /// Creates a reader of the system's journal over another program.
    #[cfg(test)]
    pub(crate) fn with_program(program: String) -> Self {
        Self { program, ..Self::new(RuntimeScope::System) }
    }

    /// Reads what the manager and the kernel recorded about the end of an attempt; `None` if the journal has no
    /// record of an end. This replaces the record of an `end` hook that was killed.
    ///
    /// # Errors
    /// [`JournalError`] if the journal cannot be read.
    pub fn end_of(&self, invocation: InvocationId) -> Result<Option<JournalEnd>, JournalError> {
        let arguments = end::arguments(self.trust, invocation);
        let records = self.run(arguments)?.collect::<Result<Vec<_>, _>>()?;
        Ok(end::read(&records))
    }

    /// Returns the names of the processes of an attempt that the manager killed.
    ///
    /// # Errors
    /// [`JournalError`] if the journal cannot be read.
    pub fn killed_processes(&self, invocation: InvocationId) -> Result<Vec<String>, JournalError> {
        let arguments = end::arguments(self.trust, invocation);
        let records = self.run(arguments)?.collect::<Result<Vec<_>, _>>()?;
        Ok(end::killed_processes(&records))
    }

    /// Returns the newest line of the kernel about an OOM kill in a unit's control group, written at
    /// `since` or later; `None` if there is none, or it cannot be read.
    ///
    /// `/dev/kmsg` is read first: it is faster, and exists without journald.
    pub fn kernel_kill_line(
        &self,
        unit: &UnitName,
        since: Option<MonotonicTime>,
    ) -> Option<String> {
        let from_kernel =
            kernel_log::read().and_then(|text| kernel_log::kill_line(&text, unit, since));
        from_kernel.or_else(|| {
            let records = self.run(arguments::kernel_arguments()).ok()?.flatten();
            let recent =
                records.filter(|record| since.is_none_or(|s| record.monotonic() >= Some(s)));
            recent
                .filter_map(|record| record.text("MESSAGE"))
                .filter(|message| kernel_log::names_unit(message, unit))
                .last()
        })
    }

    /// Returns when the oldest entry of a boot that the caller may read was written; `None` if there is none.
    ///
    /// # Errors
    /// [`JournalError`] if the journal cannot be read.
    pub fn oldest_entry(&self, boot: BootId) -> Result<Option<OldestEntry>, JournalError> {
        let mut arguments = options();
        arguments.push(format!("_BOOT_ID={boot}"));
        let oldest = self.run(arguments)?.next().transpose()?;
        Ok(oldest.and_then(|record| {
            Some(OldestEntry { at: record.at()?, monotonic: record.monotonic() })
        }))
    }

    pub(crate) fn run(&self, arguments: Vec<String>) -> Result<Records, JournalError> {
        Records::spawn(tool_command(&self.program, self.scope), arguments)
    }
}
