//! The whole database as lines of JSON.

use std::collections::BTreeMap;
use std::io::{self, Write};

use bij_core::port::LedgerError;
use bij_core::queue::QueuePosition;
use bij_core::{BootId, Cause, ExperimentId, Progress, RunId, RunNumber, Timestamp};
use rusqlite::{Connection, Row, params};
use serde::Serialize;
use thiserror::Error;

use crate::database_error::DatabaseError;
use crate::row::{self, ResultColumn, RowReader};
use crate::{Store, board, queue, read};

pub(crate) mod line;

use line::{
    AdmissionLine, BootLine, EndLine, EventLine, FORMAT, GroupLine, Header, Line, MAX_LINE_LEN,
    PauseLine, QueuedLine, RemovedAttempts, RunEndLine, VERSION,
};

/// Why an export is not complete.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The output could not be written.
    #[error("the export could not be written")]
    Write(#[source] io::Error),
    /// The database could not be read.
    #[error("the export could not be read from the database")]
    Ledger(#[source] LedgerError),
    /// A record has a line that an import would refuse because of its length.
    #[error("a record of kind {kind} has {length} bytes, and a line at most {MAX_LINE_LEN}")]
    TooLong {
        /// The kind of the record.
        kind: &'static str,
        /// The length of its line in bytes.
        length: usize,
    },
}

impl From<DatabaseError> for ExportError {
    fn from(error: DatabaseError) -> Self {
        Self::Ledger(error.into())
    }
}

impl Store {
    /// Writes every run, attempt, queued run, group, clean shutdown, event and minute of the board as lines of JSON, and
    /// returns the number of lines. They show the database at one point in time.
    ///
    /// The first line names the format and its version, and the last one the number of lines, so a cut file is
    /// recognized. [`Store::import`] reads the lines. The memory that is needed does not depend on their number.
    /// Records in the spool are not in the database yet: apply them before
    /// ([`RobustLedger::apply_spool`](crate::RobustLedger::apply_spool)).
    ///
    /// # Errors
    /// [`ExportError`]; what was written until then is not an export.
    pub fn export(&self, output: impl Write) -> Result<u64, ExportError> {
        read::in_snapshot(self.connection(), |connection| {
            let mut lines = LineWriter { output, buffer: Vec::new(), lines: 0 };
            lines.write_value("format", &Header { format: FORMAT.to_owned(), version: VERSION })?;
            write_history(connection, &mut lines)?;
            write_queue(connection, &mut lines)?;
            write_log(connection, &mut lines)?;
            let end = EndLine { lines: lines.lines };
            lines.write(&Line::End(end))?;
            lines.output.flush().map_err(ExportError::Write)?;
            Ok(lines.lines)
        })
    }
}

/// Writes lines and counts them.
struct LineWriter<W> {
    output: W,
    /// The line that is being written.
    buffer: Vec<u8>,
    lines: u64,
}

impl<W: Write> LineWriter<W> {
    fn write(&mut self, line: &Line) -> Result<(), ExportError> {
        self.write_value(line.kind().1, line)
    }

    fn write_value(
        &mut self,
        kind: &'static str,
        value: &impl Serialize,
    ) -> Result<(), ExportError> {
        self.buffer.clear();
        serde_json::to_writer(&mut self.buffer, value)
            .expect("a record is plain data with text keys, which JSON can always write");
        let length = self.buffer.len();
        if length > MAX_LINE_LEN {
            return Err(ExportError::TooLong { kind, length });
        }
        self.buffer.push(b'\n');
        self.output.write_all(&self.buffer).map_err(ExportError::Write)?;
        self.lines += 1;
        Ok(())
    }
}

/// Writes removed attempts, runs, attempts, and the ends of runs.
fn write_history(
    connection: &Connection,
    lines: &mut LineWriter<impl Write>,
) -> Result<(), ExportError> {
    each_row(connection, WITH_REMOVED_ATTEMPTS, |row| {
        let fields = RowReader::new(row, value(row, 0)?);
        let experiment: ExperimentId = fields.parsed(ResultColumn(1, "experiment"))?;
        let removed = removed_attempts(connection, &experiment)?;
        removed.map_or(Ok(()), |removed| lines.write(&Line::Removed(removed)))
    })?;
    each_row(connection, RUNS, |row| lines.write(&Line::Run(run(row)?)))?;
    let columns = row::ATTEMPT;
    let attempts = format!("SELECT {columns} {} ORDER BY a.id", read::FROM);
    each_row(connection, &attempts, |row| {
        lines.write(&Line::Attempt(Box::new(row::attempt(row)?)))
    })?;
    each_row(connection, RUN_ENDS, |row| {
        let fields = RowReader::new(row, value(row, 0)?);
        let Some(end) = fields.run_end(ResultColumn(3, "ended_by"))? else { return Ok(()) };
        let at: Option<i64> = fields.value(ResultColumn(4, "ended"))?;
        lines.write(&Line::RunEnd(RunEndLine {
            run: run(row)?,
            end,
            at: at.map(Timestamp::from_micros),
            by: fields.value(ResultColumn(5, "ender"))?,
        }))
    })
}

/// Writes queued runs, groups and the state of admission.
fn write_queue(
    connection: &Connection,
    lines: &mut LineWriter<impl Write>,
) -> Result<(), ExportError> {
    each_row(connection, &queue::queued_in_order(), |row| {
        lines.write(&Line::Queued(Box::new(QueuedLine::from(queue::queued_run(row)?))))
    })?;
    for group in queue::groups(connection)? {
        lines.write(&Line::Group(GroupLine::from(group)))?;
    }
    let QueuePosition(last_position) = queue::last_position(connection)?;
    let paused = queue::pause(connection)?.map(PauseLine::from);
    lines.write(&Line::Admission(AdmissionLine { last_position, paused }))
}

/// Writes clean shutdowns, events and the record of the board.
fn write_log(
    connection: &Connection,
    lines: &mut LineWriter<impl Write>,
) -> Result<(), ExportError> {
    each_row(connection, BOOTS, |row| {
        let fields = RowReader::new(row, 0);
        let id: BootId = fields.parsed(ResultColumn(0, "id"))?;
        let ended = Timestamp::from_micros(fields.value(ResultColumn(1, "ended"))?);
        lines.write(&Line::Boot(BootLine { id, ended }))
    })?;
    each_row(connection, &queue::events_in_order(), |row| {
        lines.write(&Line::Event(EventLine::from(queue::event(row)?)))
    })?;
    each_row(connection, &board::minutes_in_order(), |row| {
        lines.write(&Line::Minute(Box::new(board::minute(row)?)))
    })
}

/// The experiments with attempts that count and are not in the database.
const WITH_REMOVED_ATTEMPTS: &str = "SELECT e.id, e.name FROM experiments e
    WHERE e.attempts > (SELECT count(*) FROM attempts WHERE experiment = e.id) ORDER BY e.id";

// In a CROSS JOIN, SQLite reads the tables in the order in which they stand, so nothing is sorted
// (<https://www.sqlite.org/optoverview.html#manual_control_of_query_plans_using_cross_join>).
const RUNS: &str = "SELECT r.id, e.name, r.number
    FROM runs r CROSS JOIN experiments e ON e.id = r.experiment ORDER BY r.id";
const RUN_ENDS: &str = "SELECT r.id, e.name, r.number, r.ended_by, r.ended, r.ender
    FROM runs r CROSS JOIN experiments e ON e.id = r.experiment
    WHERE r.ended_by IS NOT NULL ORDER BY r.id";
const BOOTS: &str = "SELECT id, ended FROM boots ORDER BY id";

/// Calls `write` for each row of a query.
fn each_row(
    connection: &Connection,
    sql: &str,
    mut write: impl FnMut(&Row<'_>) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let mut statement = connection.prepare(sql).map_err(DatabaseError::from)?;
    let mut rows = statement.query([]).map_err(DatabaseError::from)?;
    while let Some(row) = rows.next().map_err(DatabaseError::from)? {
        write(row)?;
    }
    Ok(())
}

fn value(row: &Row<'_>, column: usize) -> Result<i64, DatabaseError> {
    Ok(row.get(column)?)
}

/// Reads the run from the columns 1 and 2.
fn run(row: &Row<'_>) -> Result<RunId, DatabaseError> {
    let fields = RowReader::new(row, value(row, 0)?);
    Ok(RunId {
        experiment: fields.parsed(ResultColumn(1, "experiment"))?,
        number: RunNumber(fields.value(ResultColumn(2, "run"))?),
    })
}

/// Returns the totals of those attempts of an experiment that are no longer in the database; `None` if there are none.
pub(crate) fn removed_attempts(
    connection: &Connection,
    experiment: &ExperimentId,
) -> Result<Option<RemovedAttempts>, DatabaseError> {
    let mut statement = connection.prepare_cached(
        "SELECT e.id, e.attempts - count(a.id), e.crashes - coalesce(sum(a.crash), 0),
             iif(EXISTS (SELECT 1 FROM attempts WHERE id = e.newest_ended), NULL, e.last_cause),
             iif(EXISTS (SELECT 1 FROM attempts WHERE id = e.checkpoint_of), NULL, e.checkpoint)
         FROM experiments e LEFT JOIN attempts a ON a.experiment = e.id
         WHERE e.name = ?1 GROUP BY e.id HAVING e.attempts > count(a.id)",
    )?;
    let mut rows = statement.query([experiment.as_str()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let id = value(row, 0)?;
    let fields = RowReader::new(row, id);
    let mut removed = RemovedAttempts {
        experiment: experiment.clone(),
        attempts: fields.value(ResultColumn(1, "attempts"))?,
        crashes: fields.value(ResultColumn(2, "crashes"))?,
        crashes_by_cause: BTreeMap::new(),
        last_cause: fields.parsed_optional::<Cause>(ResultColumn(3, "last_cause"))?,
        last_checkpoint: fields.json_optional::<Progress>(ResultColumn(4, "checkpoint"))?,
    };
    let mut statement = connection.prepare_cached(
        "SELECT cause, crashes - (
             SELECT count(*) FROM attempts WHERE experiment = ?1 AND crash = 1 AND cause = c.cause
         ) FROM crash_counts c WHERE experiment = ?1",
    )?;
    let mut rows = statement.query(params![id])?;
    while let Some(row) = rows.next()? {
        let fields = RowReader::new(row, id);
        let crashes: u64 = fields.value(ResultColumn(1, "crashes"))?;
        if crashes > 0 {
            removed.crashes_by_cause.insert(fields.parsed(ResultColumn(0, "cause"))?, crashes);
        }
    }
    Ok(Some(removed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_query_of_an_export_sorts_the_history_or_the_queue() {
        let store = Store::in_memory().unwrap();
        let columns = row::ATTEMPT;
        let attempts = format!("SELECT {columns} {} ORDER BY a.id", read::FROM);
        let (queued, events, minutes) =
            (queue::queued_in_order(), queue::events_in_order(), board::minutes_in_order());
        for sql in
            [WITH_REMOVED_ATTEMPTS, RUNS, RUN_ENDS, BOOTS, &attempts, &queued, &events, &minutes]
        {
            each_row(store.connection(), &format!("EXPLAIN QUERY PLAN {sql}"), |row| {
                let step: String = row.get("detail").unwrap();
                assert!(!step.contains("B-TREE"), "{sql}: {step}");
                Ok(())
            })
            .unwrap();
        }
    }
}
