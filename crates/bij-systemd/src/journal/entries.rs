//! Entries of the journal of any unit.

use bij_core::{BootId, InvocationId, MonotonicTime, Timestamp};

use super::Journal;
use super::arguments::{format_time, options};
use super::process::{JournalError, JournalStopper, Records};
use super::record::Record;
use crate::{RuntimeScope, UnitName};

/// Selects entries of the journal; the default is all that the caller may read. Conditions of different kinds must all
/// be met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalFilter {
    units: Vec<UnitName>,
    identifiers: Vec<String>,
    boot: Option<BootId>,
    invocation: Option<InvocationId>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    priority: Option<u8>,
    newest: Option<usize>,
    cursor: Option<String>,
    follows: bool,
}

impl JournalFilter {
    /// Selects all entries that the caller may read.
    pub fn new() -> Self {
        Self::default()
    }

    /// Selects entries of this unit's processes and of the manager about it, besides those of other units.
    #[must_use]
    pub fn unit(mut self, unit: &UnitName) -> Self {
        self.units.push(unit.clone());
        self
    }

    /// Selects entries with this `SYSLOG_IDENTIFIER`, besides those with others. A process chooses its own.
    #[must_use]
    pub fn identifier(mut self, identifier: impl Into<String>) -> Self {
        self.identifiers.push(identifier.into());
        self
    }

    /// Selects entries of one boot.
    #[must_use]
    pub const fn boot(mut self, boot: BootId) -> Self {
        self.boot = Some(boot);
        self
    }

    /// Selects entries of one invocation of a unit, and of the manager about it. journald looks it up while the writer
    /// is alive, so the last lines of a process may lack it.
    #[must_use]
    pub const fn invocation(mut self, invocation: InvocationId) -> Self {
        self.invocation = Some(invocation);
        self
    }

    /// Selects entries from this time on.
    #[must_use]
    pub const fn since(mut self, time: Timestamp) -> Self {
        self.since = Some(time);
        self
    }

    /// Selects entries until this time.
    #[must_use]
    pub const fn until(mut self, time: Timestamp) -> Self {
        self.until = Some(time);
        self
    }

    /// Selects entries of this priority of syslog(3) or a more important one: 0 (emergency) to 7 (debug).
    #[must_use]
    pub const fn priority(mut self, least: u8) -> Self {
        self.priority = Some(least);
        self
    }

    /// Limits the entries that exist already to this number of the newest.
    #[must_use]
    pub const fn newest(mut self, number: usize) -> Self {
        self.newest = Some(number);
        self
    }

    /// Selects entries after this [cursor](JournalEntry::cursor), of an entry that was read before.
    #[must_use]
    pub fn after_cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }

    /// Waits for new entries after those that exist already.
    #[must_use]
    pub const fn follow(mut self) -> Self {
        self.follows = true;
        self
    }

    fn arguments(&self, scope: RuntimeScope) -> Vec<String> {
        let mut arguments = options();
        let unit_option = match scope {
            RuntimeScope::System => "--unit",
            RuntimeScope::User => "--user-unit",
        };
        arguments.extend(self.units.iter().map(|unit| format!("{unit_option}={unit}")));
        let identifiers = self.identifiers.iter();
        arguments.extend(identifiers.map(|identifier| format!("--identifier={identifier}")));
        arguments.extend(self.boot.map(|boot| format!("--boot={boot}")));
        arguments.extend(self.since.map(|time| format!("--since={}", format_time(time))));
        arguments.extend(self.until.map(|time| format!("--until={}", format_time(time))));
        arguments.extend(self.priority.map(|least| format!("--priority={least}")));
        arguments.extend(self.cursor.as_ref().map(|cursor| format!("--after-cursor={cursor}")));
        arguments.extend(self.newest.map(|number| format!("--lines={number}")));
        if self.follows {
            arguments.push("--follow".to_owned());
            // journalctl shows only ten lines otherwise.
            arguments.extend(self.newest.is_none().then(|| "--no-tail".to_owned()));
        }
        if let Some(id) = self.invocation {
            let of_manager = match scope {
                RuntimeScope::System => "INVOCATION_ID",
                RuntimeScope::User => "USER_INVOCATION_ID",
            };
            let own = format!("_SYSTEMD_INVOCATION_ID={id}");
            arguments.extend([own, "+".to_owned(), format!("{of_manager}={id}")]);
        }
        arguments
    }
}

/// An entry of the journal.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct JournalEntry {
    /// When it was written.
    pub at: Timestamp,
    /// When it was written, by the monotonic clock of its boot.
    pub monotonic: Option<MonotonicTime>,
    /// The boot in which it was written.
    pub boot: Option<BootId>,
    /// The unit of its writer, as journald found it (`_SYSTEMD_UNIT`, or `_SYSTEMD_USER_UNIT`). The manager's own
    /// entries about a unit name it in the field `UNIT` or `USER_UNIT`.
    pub unit: Option<String>,
    /// The invocation of that unit.
    pub invocation: Option<InvocationId>,
    /// The name that the writer gave itself (`SYSLOG_IDENTIFIER`).
    pub identifier: Option<String>,
    /// The PID of its writer.
    pub pid: Option<u32>,
    /// Its priority of syslog(3), 0 (emergency) to 7 (debug).
    pub priority: Option<u8>,
    /// The text; invalid UTF-8 is replaced.
    pub message: String,
    record: Record,
}

impl JournalEntry {
    fn from_record(record: Record, scope: RuntimeScope) -> Option<Self> {
        let unit = match scope {
            RuntimeScope::System => "_SYSTEMD_UNIT",
            RuntimeScope::User => "_SYSTEMD_USER_UNIT",
        };
        Some(Self {
            at: record.at()?,
            monotonic: record.monotonic(),
            boot: record.number("_BOOT_ID"),
            unit: record.text(unit),
            invocation: record.number("_SYSTEMD_INVOCATION_ID"),
            identifier: record.text("SYSLOG_IDENTIFIER"),
            pid: record.number("_PID"),
            priority: record.number("PRIORITY"),
            message: record.text("MESSAGE").unwrap_or_default(),
            record,
        })
    }

    /// Returns the position of this entry, for [`JournalFilter::after_cursor`].
    pub fn cursor(&self) -> Option<String> {
        self.record.text("__CURSOR")
    }

    /// Returns any field (systemd.journal-fields(7)); the first of repeated ones. Those that begin with an underscore
    /// come from journald, others from the writer.
    pub fn field(&self, name: &str) -> Option<String> {
        self.record.text(name)
    }
}

/// An iterator over entries, oldest first; created by [`Journal::entries`].
#[derive(Debug)]
pub struct JournalEntries {
    records: Records,
    scope: RuntimeScope,
    stopper: JournalStopper,
}

impl JournalEntries {
    /// Returns a handle that stops this iterator from another thread.
    pub fn stopper(&self) -> JournalStopper {
        self.stopper.clone()
    }
}

impl Iterator for JournalEntries {
    type Item = Result<JournalEntry, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.records.next()? {
                Ok(record) => {
                    // journald sets the time of every record.
                    if let Some(entry) = JournalEntry::from_record(record, self.scope) {
                        return Some(Ok(entry));
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Journal {
    /// Returns entries of any unit, oldest first. With [`JournalFilter::follow`] the iterator waits for new entries
    /// until it is stopped.
    ///
    /// # Errors
    /// [`JournalError::Spawn`] if there is no journalctl; later errors are items of the iterator.
    pub fn entries(&self, filter: &JournalFilter) -> Result<JournalEntries, JournalError> {
        let records = self.run(filter.arguments(self.scope))?;
        let stopper = JournalStopper::new(records.process());
        Ok(JournalEntries { records, scope: self.scope, stopper })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_becomes_arguments_of_journalctl() {
        let ssh = UnitName::new("ssh.service").unwrap();
        let filter = JournalFilter::new()
            .unit(&ssh)
            .identifier("sshd")
            .boot(BootId::from_bytes([1; 16]))
            .since(Timestamp::from_micros(1_500_000))
            .priority(4)
            .newest(3)
            .follow();
        assert_eq!(
            filter.arguments(RuntimeScope::System)[5..],
            [
                "--unit=ssh.service",
                "--identifier=sshd",
                "--boot=01010101010101010101010101010101",
                "--since=@1.500000",
                "--priority=4",
                "--lines=3",
                "--follow",
            ]
        );
        let invocation = JournalFilter::new()
            .invocation(InvocationId::from_bytes([2; 16]))
            .after_cursor("s=1")
            .follow();
        assert_eq!(
            invocation.arguments(RuntimeScope::User)[5..],
            [
                "--after-cursor=s=1",
                "--follow",
                "--no-tail",
                "_SYSTEMD_INVOCATION_ID=02020202020202020202020202020202",
                "+",
                "USER_INVOCATION_ID=02020202020202020202020202020202",
            ]
        );
    }
}
