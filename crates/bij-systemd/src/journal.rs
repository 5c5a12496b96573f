//! What the journal says, by way of `journalctl`: it reads the files of its own version, has the
//! right permissions, and is always there.
//!
//! Arguments and records are pure; [`Journal`] runs the program.

mod author;
mod end;
#[cfg(test)]
mod fuzz;
mod kernel;
mod killed;
mod line;
mod lines;
mod message_id;
mod process;
mod query;
mod record;

use bij_core::{BootId, ExperimentId, InvocationId, TimeSpan, Timestamp};

use crate::{RuntimeScope, tool};

pub use author::Writer;
pub use end::JournalEnd;
pub use line::LogLine;
pub use lines::{LogLines, Stopper};
pub use process::JournalError;
pub use query::{Life, LogQuery};
pub use record::InvalidRecord;

use author::Trust;
use process::Records;

/// When the oldest entry of a boot was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalBegin {
    /// The time of day.
    pub at: Timestamp,
    /// The time since the boot, without the time that the machine was suspended (`CLOCK_MONOTONIC`).
    pub since_boot: Option<TimeSpan>,
}

/// The journal as seen from one service manager's side.
#[derive(Clone, Debug)]
pub struct Journal {
    scope: RuntimeScope,
    trust: Trust,
    program: String,
}

impl Journal {
    /// The journal of the system, or of the calling user's own manager.
    pub fn new(scope: RuntimeScope) -> Self {
        let trust = match scope {
            RuntimeScope::System => Trust::System,
            RuntimeScope::User => Trust::User { uid: nix::unistd::getuid() },
        };
        Self { scope, trust, program: tool::path("journalctl") }
    }

    /// What the manager and the kernel wrote about the end of one life of a unit; `None` if the
    /// journal knows of no end. This is what makes good a killed `end` hook.
    ///
    /// # Errors
    /// [`JournalError`] if the journal cannot be read.
    pub fn end_of(&self, invocation: InvocationId) -> Result<Option<JournalEnd>, JournalError> {
        let arguments = end::arguments(self.trust, invocation);
        let records = self.run(arguments)?.collect::<Result<Vec<_>, _>>()?;
        Ok(end::read(&records))
    }

    /// Returns the names of the processes of one life of a unit that its manager had to kill.
    ///
    /// # Errors
    /// [`JournalError`] if the journal cannot be read.
    pub fn killed_in(&self, invocation: InvocationId) -> Result<Vec<String>, JournalError> {
        let arguments = end::arguments(self.trust, invocation);
        let records = self.run(arguments)?.collect::<Result<Vec<_>, _>>()?;
        Ok(killed::names(&records))
    }

    /// The kernel's line about a kill for memory in an experiment's control group, the newest since
    /// `since` (by the clock that counts from boot), where it can be read.
    ///
    /// `/dev/kmsg` is asked first: it answers at once, and is there when journald is not.
    pub fn kernel_kill_line(&self, id: &ExperimentId, since: Option<TimeSpan>) -> Option<String> {
        let from_kernel = kernel::buffer().and_then(|text| kernel::kill_line(&text, id, since));
        from_kernel.or_else(|| {
            let records = self.run(kernel::arguments()).ok()?.flatten();
            let told = records.filter(|record| since.is_none_or(|s| record.monotonic() >= Some(s)));
            told.filter_map(|record| record.text("MESSAGE"))
                .filter(|message| kernel::names(message, id))
                .last()
        })
    }

    /// Returns when the oldest entry of a boot was written that the caller may read; `None` if there is none.
    ///
    /// # Errors
    /// [`JournalError`] if the journal cannot be read.
    pub fn begins(&self, boot: BootId) -> Result<Option<JournalBegin>, JournalError> {
        let mut arguments = query::options();
        arguments.push(format!("_BOOT_ID={boot}"));
        let oldest = self.run(arguments)?.next().transpose()?;
        Ok(oldest.and_then(|record| {
            Some(JournalBegin { at: record.at()?, since_boot: record.monotonic() })
        }))
    }

    /// The log lines of experiments, oldest first; with [`LogQuery::follow`] it goes on until it
    /// is stopped.
    ///
    /// # Errors
    /// [`JournalError::Spawn`] if there is no journalctl; later errors come as items.
    pub fn lines(&self, query: &LogQuery, now: Timestamp) -> Result<LogLines, JournalError> {
        LogLines::new(self.clone(), query.clone(), now)
    }

    fn run(&self, arguments: Vec<String>) -> Result<Records, JournalError> {
        Records::of(tool::command(&self.program, self.scope), arguments)
    }
}

#[cfg(test)]
mod tests;
