//! Reads the lines of an export into a database.

use std::error::Error;
use std::io::{self, BufRead, Read as _};

use bij_core::port::LedgerError;
use bij_core::{AttemptKey, AttemptNumber, ExperimentId, RunId, Timestamp, printable};
use thiserror::Error;

use crate::database_error::DatabaseError;
use crate::export::line::{FORMAT, Header, Line, MAX_LINE_LEN, VERSION};
use crate::store::Flush;
use crate::{Store, open};

mod merge;

use merge::Merge;

/// The number of records that an import has added to the database; all are zero if it had everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Imported {
    /// Runs that the database did not have.
    pub runs: u64,
    /// Attempts that the database did not have.
    pub attempts: u64,
    /// Attempts that were open in the database and are closed now.
    pub closed: u64,
    /// Events that were restored.
    pub events: u64,
}

/// Why nothing was imported.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The input could not be read.
    #[error("line {line} could not be read")]
    Read {
        /// The number of the line, from 1.
        line: u64,
        /// The error of the input.
        source: io::Error,
    },
    /// A line is not a line of an export, or contradicts the database.
    #[error("line {line} cannot be imported")]
    Line {
        /// The number of the line, from 1.
        line: u64,
        /// What is wrong with it.
        source: InvalidLine,
    },
    /// The database could not be written.
    #[error("the lines could not be written to the database")]
    Ledger(#[source] LedgerError),
}

/// What is wrong with a line.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InvalidLine {
    /// The first line is not that of an export.
    #[error(
        "it is not the first line of an export: {{\"format\":\"{FORMAT}\",\"version\":{VERSION}}}"
    )]
    NotAnExport,
    /// A newer bij has written the export.
    #[error("the export has version {found}; this bij knows versions up to {known}")]
    Newer {
        /// The version of the export.
        found: u32,
        /// The newest version that this program knows.
        known: u32,
    },
    /// The line is too long.
    #[error("it is longer than {limit} bytes")]
    TooLong {
        /// The maximum length in bytes.
        limit: usize,
    },
    /// The line is not a record in JSON.
    #[error("it is not a whole record: {0}")]
    NotARecord(String),
    /// The kind of the record belongs before the line that precedes it, or nothing may follow.
    #[error("a record of kind {kind} cannot follow the line before it")]
    Misplaced {
        /// The kind of the record.
        kind: &'static str,
    },
    /// A number is higher than any ledger counts.
    #[error("the {what} is too high")]
    TooHigh {
        /// The name of the number.
        what: &'static str,
    },
    /// The record belongs to a run that no line before it has named.
    #[error("there is no run {run}")]
    UnknownRun {
        /// The run that the record names.
        run: RunId,
    },
    /// The database has this attempt as another one.
    #[error(
        "attempt {} of boot {} is attempt {number} of {run} in the database", .key.invocation, .key.boot
    )]
    OtherAttempt {
        /// The boot and the invocation of the attempt.
        key: AttemptKey,
        /// Its run in the database.
        run: RunId,
        /// Its number in the database.
        number: AttemptNumber,
    },
    /// The database has recorded other runs or attempts of the experiment.
    #[error("the database has another history of {experiment}, which does not continue")]
    OtherHistory {
        /// The experiment whose histories differ.
        experiment: ExperimentId,
    },
    /// An open run has no entry in the queue.
    #[error("run {run} has neither ended nor is it in the queue")]
    NotQueued {
        /// The run without an end and an entry.
        run: RunId,
    },
    /// The numbers of events have a gap.
    #[error("event {found} does not follow event {after}")]
    EventGap {
        /// The number of the event.
        found: u64,
        /// The number of the event before it.
        after: u64,
    },
    /// The number of lines is not that of the last line.
    #[error("lines are missing: there were {found}, and {expected} were written")]
    LinesMissing {
        /// The number of lines before the last one.
        found: u64,
        /// The number according to the last line.
        expected: u64,
    },
    /// The input ends before its last line.
    #[error("the export ends here, without its last line")]
    Cut,
    /// A rule of the database forbids the record.
    #[error("the database refuses the record")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
}

impl From<DatabaseError> for ImportError {
    fn from(error: DatabaseError) -> Self {
        Self::Ledger(error.into())
    }
}

impl Store {
    /// Adds the records of an [export](Store::export) that this database does not have, all or none. `at` is the time
    /// of the events that the import itself records.
    ///
    /// An attempt is known by its boot and its invocation, so importing the same lines again adds nothing. An attempt
    /// or a run that has ended stays as it is. If the export has seen more of an experiment than the database, its
    /// history continues; if both have recorded runs or attempts that the other does not know, nothing is imported.
    ///
    /// An empty database gets everything. The log of events, the minutes of the board, the pause and the positions in
    /// the queue belong to one database: into a database that is not empty, they are not imported. New runs are queued
    /// behind its own, and each new record has its event there.
    ///
    /// The lines are read one by one in a transaction, so the memory that is needed does not depend on their number,
    /// and no other process can write until the input ends.
    ///
    /// # Errors
    /// [`ImportError`], with the number of the line and the reason if a line is to blame; nothing has changed.
    pub fn import(&mut self, lines: impl BufRead, at: Timestamp) -> Result<Imported, ImportError> {
        let imported = self.write(Flush::Now, |transaction| {
            let mut lines = LineReader { input: lines, buffer: Vec::new(), number: 0 };
            lines.read_header()?;
            let mut merge = Merge::new(transaction, at)?;
            let mut kind = 0;
            loop {
                let line = lines.read_line()?;
                let (next, name) = line.kind();
                if next < kind {
                    return Err(lines.invalid(InvalidLine::Misplaced { kind: name }));
                }
                kind = next;
                if let Line::End(end) = &line {
                    lines.check_end(end.lines)?;
                }
                merge.apply(line).map_err(|error| match error {
                    merge::MergeError::Line(why) => lines.invalid(why),
                    merge::MergeError::Database(error) if error.is_permanent_for_record() => {
                        lines.invalid(InvalidLine::Refused(error.into()))
                    }
                    merge::MergeError::Database(error) => error.into(),
                })?;
                if merge.is_finished() {
                    return Ok(merge.imported());
                }
            }
        })?;
        self.truncate_wal(open::WAL_TRUNCATE_BYTES_ON_SUBMIT);
        Ok(imported)
    }
}

/// Reads lines and counts them.
struct LineReader<R> {
    input: R,
    buffer: Vec<u8>,
    /// The number of the current line, from 1.
    number: u64,
}

impl<R: BufRead> LineReader<R> {
    fn read_header(&mut self) -> Result<(), ImportError> {
        if !self.advance()? {
            self.number = 1;
            return Err(self.invalid(InvalidLine::NotAnExport));
        }
        match serde_json::from_slice::<Header>(&self.buffer) {
            Ok(Header { format, version: VERSION }) if format == FORMAT => Ok(()),
            Ok(Header { format, version }) if format == FORMAT && version > VERSION => {
                Err(self.invalid(InvalidLine::Newer { found: version, known: VERSION }))
            }
            _ => Err(self.invalid(InvalidLine::NotAnExport)),
        }
    }

    fn read_line(&mut self) -> Result<Line, ImportError> {
        if !self.advance()? {
            return Err(self.invalid(InvalidLine::Cut));
        }
        serde_json::from_slice(&self.buffer).map_err(|error| {
            // The text may quote the line.
            let why = printable(&error.to_string()).into_owned();
            self.invalid(InvalidLine::NotARecord(why))
        })
    }

    /// Checks the last line against the number of lines before it, and that it is the last one.
    fn check_end(&mut self, expected: u64) -> Result<(), ImportError> {
        let found = self.number - 1;
        if found != expected {
            return Err(self.invalid(InvalidLine::LinesMissing { found, expected }));
        }
        if self.advance()? {
            return Err(self.invalid(InvalidLine::Misplaced { kind: "any" }));
        }
        Ok(())
    }

    /// Reads the next line into the buffer. Returns `false` at the end of the input.
    fn advance(&mut self) -> Result<bool, ImportError> {
        self.buffer.clear();
        // One byte more than a line has, with its end, shows that a line is too long.
        let limit = u64::try_from(MAX_LINE_LEN + 2).unwrap_or(u64::MAX);
        let read = self.input.by_ref().take(limit).read_until(b'\n', &mut self.buffer);
        let line = self.number + 1;
        let read = read.map_err(|source| ImportError::Read { line, source })?;
        if read == 0 {
            return Ok(false);
        }
        self.number = line;
        if self.buffer.last() == Some(&b'\n') {
            self.buffer.pop();
        }
        if self.buffer.len() > MAX_LINE_LEN {
            return Err(self.invalid(InvalidLine::TooLong { limit: MAX_LINE_LEN }));
        }
        Ok(true)
    }

    const fn invalid(&self, source: InvalidLine) -> ImportError {
        ImportError::Line { line: self.number, source }
    }
}

#[cfg(test)]
mod tests;
