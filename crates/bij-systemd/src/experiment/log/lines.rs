//! The lines of experiments' logs: the backlog, then new lines.

use std::collections::VecDeque;

use bij_core::{BootId, ExperimentId, InvocationId, MonotonicTime, Timestamp};

use super::JournalQuery;
use super::author::{Author, Writer};
use crate::journal::{Journal, JournalError, JournalStopper, Record, Records, TrustedWriters};
use crate::monotonic_clock::monotonic;

/// An iterator over log lines of experiments; created by [`Journal::lines`].
#[derive(Debug)]
pub struct JournalLines {
    journal: Journal,
    query: JournalQuery,
    started: Timestamp,
    /// The same by the monotonic clock, if the kernel gives it.
    started_monotonic: Option<MonotonicTime>,
    /// Lines before this time are not new.
    new_from: Option<MonotonicTime>,
    phase: LogPhase,
    cursor: Option<String>,
    /// journalctl cannot limit the number of lines of single attempts; the newest are buffered here.
    newest: VecDeque<JournalLine>,
    stopper: JournalStopper,
}

#[derive(Debug)]
enum LogPhase {
    Backlog(Records),
    Following(Records),
    Over,
}

impl JournalLines {
    pub(super) fn new(
        journal: Journal,
        query: JournalQuery,
        started: Timestamp,
    ) -> Result<Self, JournalError> {
        let backlog = journal.run(query.backlog_arguments(journal.scope()))?;
        let stopper = JournalStopper::new(backlog.process());
        let phase = LogPhase::Backlog(backlog);
        let newest = VecDeque::new();
        Ok(Self {
            journal,
            query,
            started,
            started_monotonic: monotonic(),
            new_from: None,
            phase,
            cursor: None,
            newest,
            stopper,
        })
    }

    /// Returns a handle that stops this iterator from another thread.
    pub fn stopper(&self) -> JournalStopper {
        self.stopper.clone()
    }

    /// Returns the next wanted line of the current journalctl process.
    fn line(&mut self) -> Option<Result<JournalLine, JournalError>> {
        let (LogPhase::Backlog(records) | LogPhase::Following(records)) = &mut self.phase else {
            return None;
        };
        for record in records {
            let record = match record {
                Ok(record) => record,
                Err(error) => return Some(Err(error)),
            };
            self.cursor = record.text("__CURSOR").or_else(|| self.cursor.take());
            if record.is_before(self.new_from) {
                continue;
            }
            let line = JournalLine::from_record(&record, self.journal.trust())
                .filter(|line| self.query.selects(line));
            if let Some(line) = line {
                return Some(Ok(line));
            }
        }
        None
    }

    /// Reads the backlog to its end and buffers its newest lines, where journalctl cannot limit them.
    fn buffer_newest(&mut self) -> Result<(), JournalError> {
        let ours = !self.query.attempts.is_empty() && matches!(self.phase, LogPhase::Backlog(_));
        let Some(limit) = self.query.line_limit().filter(|_| ours) else { return Ok(()) };
        while let Some(line) = self.line() {
            self.newest.push_back(line?);
            if self.newest.len() > limit {
                self.newest.pop_front();
            }
        }
        Ok(())
    }

    /// Starts the next phase after a journalctl process has ended.
    fn next_phase(&mut self) -> Result<(), JournalError> {
        let follows = matches!(self.phase, LogPhase::Backlog(_)) && self.query.follow;
        self.phase = LogPhase::Over;
        if !follows || self.stopper.has_stopped() {
            return Ok(());
        }
        let cursor = self.cursor.as_deref();
        // journalctl rounds `--since` to whole seconds, and the time of day may be set meanwhile.
        self.new_from = self.started_monotonic.filter(|_| cursor.is_none());
        let arguments = self.query.follow_arguments(self.journal.trust(), cursor, self.started);
        let records = self.journal.run(arguments)?;
        if self.stopper.replace_process(records.process()) {
            self.phase = LogPhase::Following(records);
        }
        Ok(())
    }
}

impl Iterator for JournalLines {
    type Item = Result<JournalLine, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.newest.is_empty()
            && let Err(error) = self.buffer_newest()
        {
            return Some(Err(error));
        }
        loop {
            if let Some(line) = self.newest.pop_front() {
                return Some(Ok(line));
            }
            match self.line() {
                None if matches!(self.phase, LogPhase::Over) => return None,
                None => {
                    if let Err(error) = self.next_phase() {
                        return Some(Err(error));
                    }
                }
                line => return line,
            }
        }
    }
}

/// One line of an experiment's log: of the experiment itself, its manager or a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalLine {
    /// When the line was written.
    pub at: Timestamp,
    /// The boot in which the line was written.
    pub boot: Option<BootId>,
    /// The experiment that the line is about.
    pub experiment: ExperimentId,
    /// The invocation id of the attempt, where journald could determine it.
    pub invocation: Option<InvocationId>,
    /// The priority of syslog(3), 0 (emergency) to 7 (debug).
    pub priority: Option<u8>,
    /// The writer, as journald identified it.
    pub writer: Writer,
    /// The text; invalid UTF-8 is replaced.
    pub text: String,
}

impl JournalLine {
    /// Converts a record; `None` if it is not about an experiment, or only claims to be.
    pub(super) fn from_record(record: &Record, trust: TrustedWriters) -> Option<Self> {
        let Author { writer, experiment, invocation } = trust.author(record)?;
        Some(Self {
            at: record.at()?,
            boot: record.number("_BOOT_ID"),
            experiment,
            invocation,
            priority: record.number("PRIORITY"),
            writer,
            text: record.text("MESSAGE").unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(json: &str) -> Option<JournalLine> {
        JournalLine::from_record(&Record::parse(json.as_bytes()).unwrap(), TrustedWriters::System)
    }

    #[test]
    fn the_writers_of_an_experiments_and_its_managers_line_are_distinguished() {
        let own = line(
            r#"{"__REALTIME_TIMESTAMP":"5","_SYSTEMD_UNIT":"brain-experiment@x.service",
                "_SYSTEMD_INVOCATION_ID":"07070707070707070707070707070707","_PID":"9",
                "PRIORITY":"6","MESSAGE":"hello","SYSLOG_IDENTIFIER":"brain-experiment-x","UNIT":"brain-experiment@forged.service"}"#,
        );
        let own = own.unwrap();
        assert_eq!((own.experiment.as_str(), own.writer), ("x", Writer::Experiment));
        assert_eq!((own.priority, own.text.as_str()), (Some(6), "hello"));
        assert_eq!(own.invocation, Some(InvocationId::from_bytes([7; 16])));

        let managers = line(
            r#"{"__REALTIME_TIMESTAMP":"5","_SYSTEMD_UNIT":"init.scope","_PID":"1",
                "UNIT":"brain-experiment@x.service","MESSAGE":"Started"}"#,
        );
        assert_eq!(managers.unwrap().writer, Writer::Manager);
    }

    #[test]
    fn lines_of_other_units_are_ignored() {
        assert_eq!(
            line(r#"{"__REALTIME_TIMESTAMP":"5","_SYSTEMD_UNIT":"ssh.service","MESSAGE":"x"}"#),
            None
        );
    }
}
