//! Adds the records of an export to a database, inside the caller's transaction.

use bij_core::port::Change;
use bij_core::queue::{Event, Group, NewEvent, Pause, QueuePosition, QueuedRun};
use bij_core::{Attempt, AttemptNumber, Cause, RunId, RunNumber, Timestamp};
use rusqlite::{OptionalExtension as _, Transaction, params};

use super::{Imported, InvalidLine};
use crate::database_error::DatabaseError;
use crate::export::line::{AdmissionLine, EventLine, Line, RemovedAttempts, RunEndLine};
use crate::export::removed_attempts;
use crate::row::{ResultColumn, RowReader};
use crate::{board, queue, read, write};

/// Highest number of a run, an attempt or a passing that is imported. A ledger that counts one a second takes 68 years
/// to reach it, and the next number can always be counted.
const HIGHEST_NUMBER: u32 = u32::MAX / 2;
/// Highest total and highest number of an event that are imported.
const HIGHEST_TOTAL: u64 = u64::MAX / 4;
/// Highest position in the queue behind which runs can still be submitted; [`queue::move_to`] allows two thirds of it.
const HIGHEST_POSITION: i64 = i64::MAX / 4 * 3;

/// The author of changes that an import makes.
const AUTHOR: &str = "import";

/// An import under way.
pub(super) struct Merge<'transaction> {
    transaction: &'transaction Transaction<'transaction>,
    at: Timestamp,
    /// Whether the database was empty, so that everything is restored as it was.
    is_restore: bool,
    /// The newest run and attempt that the database had before.
    newest_run: i64,
    newest_attempt: i64,
    /// Whether all runs and the queue are complete.
    has_queue: bool,
    last_event: Option<u64>,
    is_finished: bool,
    imported: Imported,
}

/// Why a record was not added.
pub(super) enum MergeError {
    /// The line is to blame.
    Line(InvalidLine),
    /// The database failed, or a rule of it forbids the record.
    Database(DatabaseError),
}

impl From<InvalidLine> for MergeError {
    fn from(why: InvalidLine) -> Self {
        Self::Line(why)
    }
}

impl From<DatabaseError> for MergeError {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

impl From<rusqlite::Error> for MergeError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.into())
    }
}

/// A run in the database.
struct StoredRun {
    id: i64,
    has_ended: bool,
}

impl<'transaction> Merge<'transaction> {
    pub(super) fn new(
        transaction: &'transaction Transaction<'transaction>,
        at: Timestamp,
    ) -> Result<Self, DatabaseError> {
        let (is_restore, newest_run, newest_attempt) = transaction.query_row(
            "SELECT NOT EXISTS (SELECT 1 FROM experiments) AND NOT EXISTS (SELECT 1 FROM events)
                 AND NOT EXISTS (SELECT 1 FROM board_minutes),
                 (SELECT coalesce(max(id), 0) FROM runs),
                 (SELECT coalesce(max(id), 0) FROM attempts)",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        Ok(Self {
            transaction,
            at,
            is_restore,
            newest_run,
            newest_attempt,
            has_queue: false,
            last_event: None,
            is_finished: false,
            imported: Imported::default(),
        })
    }

    /// Returns whether the last line was applied.
    pub(super) const fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// Returns what was added.
    pub(super) const fn imported(&self) -> Imported {
        self.imported
    }

    /// Adds the record of a line, unless the database has it.
    pub(super) fn apply(&mut self, line: Line) -> Result<(), MergeError> {
        match line {
            Line::Removed(removed) => self.add_removed(&removed),
            Line::Run(run) => self.add_run(&run),
            Line::Attempt(attempt) => self.add_attempt(&attempt),
            Line::RunEnd(end) => self.end_run(&end),
            Line::Queued(queued) => self.add_queued(QueuedRun::from(*queued)),
            Line::Group(group) => self.add_group(Group::from(group)),
            Line::Admission(admission) => self.set_admission(admission),
            Line::Boot(boot) => {
                write::mark_clean_shutdown(self.transaction, boot.id, boot.ended)?;
                Ok(())
            }
            Line::Event(event) => {
                self.complete_queue()?;
                self.add_event(event)
            }
            Line::Minute(minute) if self.is_restore => {
                Ok(board::insert_minute(self.transaction, &minute)?)
            }
            Line::Minute(_) => Ok(()),
            Line::End(_) => {
                self.is_finished = true;
                self.complete_queue()
            }
        }
    }

    fn add_removed(&self, removed: &RemovedAttempts) -> Result<(), MergeError> {
        let RemovedAttempts {
            experiment,
            attempts,
            crashes,
            crashes_by_cause,
            last_cause,
            last_checkpoint,
        } = removed;
        let counts = || crashes_by_cause.values().chain([attempts]);
        if counts().chain([crashes]).any(|count| *count > HIGHEST_TOTAL) {
            return Err(InvalidLine::TooHigh { what: "number of removed attempts" }.into());
        }
        if counts().any(|count| *count == 0) {
            return Err(InvalidLine::NotARecord("a count is zero".to_owned()).into());
        }
        let is_known = "SELECT 1 FROM experiments WHERE name = ?1";
        let is_known = self.transaction.prepare_cached(is_known)?.exists([experiment.as_str()])?;
        if is_known {
            // The attempts were removed from the one and not from the other: they would count twice.
            let stored = removed_attempts(self.transaction, experiment)?;
            let is_same = stored.is_some_and(|stored| {
                (stored.attempts, stored.crashes, &stored.crashes_by_cause)
                    == (*attempts, *crashes, crashes_by_cause)
            });
            let other = InvalidLine::OtherHistory { experiment: experiment.clone() };
            return if is_same { Ok(()) } else { Err(other.into()) };
        }
        let checkpoint = last_checkpoint.as_ref().map(|progress| {
            serde_json::to_string(progress).expect("progress is plain data, which JSON can hold")
        });
        let id = self
            .transaction
            .prepare_cached(
                "INSERT INTO experiments (name, attempts, crashes, last_cause, checkpoint)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .insert(params![
                experiment.as_str(),
                attempts,
                crashes,
                last_cause.map(Cause::as_str),
                checkpoint,
            ])?;
        for (cause, crashes) in crashes_by_cause {
            self.transaction
                .prepare_cached(
                    "INSERT INTO crash_counts (experiment, cause, crashes) VALUES (?1, ?2, ?3)",
                )?
                .execute(params![id, cause.as_str(), crashes])?;
        }
        Ok(())
    }

    fn add_run(&mut self, run: &RunId) -> Result<(), MergeError> {
        check_number(run.number.0, "number of the run")?;
        if self.find_run(run)?.is_some() {
            return Ok(());
        }
        let (experiment, highest) = queue::experiment(self.transaction, &run.experiment)?;
        // A lower number was a run that was removed from this database.
        if run.number.0 <= highest {
            return Err(other_history(run));
        }
        queue::insert_run(self.transaction, experiment, run.number)?;
        self.imported.runs += 1;
        Ok(())
    }

    fn add_attempt(&mut self, attempt: &Attempt) -> Result<(), MergeError> {
        let Attempt { run, number, key, started, started_uptime, ready, end, board } = attempt;
        check_number(number.0, "number of the attempt")?;
        // The row, if the attempt has no end there.
        let row = match read::attempt(self.transaction, *key)? {
            Some((_, stored)) if (&stored.run, stored.number) != (run, *number) => {
                let Attempt { run, number, .. } = stored;
                return Err(InvalidLine::OtherAttempt { key: *key, run, number }.into());
            }
            Some((_, Attempt { end: Some(_), .. })) => None,
            Some((row, _)) => {
                self.imported.closed += u64::from(end.is_some());
                Some(row)
            }
            None => {
                if self.find_run(run)?.ok_or_else(|| unknown_run(run))?.has_ended {
                    return Err(other_history(run));
                }
                let AttemptNumber(next) = read::next_attempt(self.transaction, run)?;
                if number.0 < next {
                    return Err(other_history(run));
                }
                self.imported.attempts += 1;
                let opened = (*started, *started_uptime);
                Some(write::insert_attempt(self.transaction, run, *number, *key, opened)?)
            }
        };
        if let (Some(row), Some(end)) = (row, end) {
            write::end_attempt(self.transaction, row, *ready, end)?;
        }
        if let Some(board) = board {
            board::insert_attempt_board(self.transaction, *key, board)?;
        }
        Ok(())
    }

    fn end_run(&self, line: &RunEndLine) -> Result<(), MergeError> {
        let RunEndLine { run, end, at, by } = line;
        self.find_run(run)?.ok_or_else(|| unknown_run(run))?;
        queue::end_run(self.transaction, run, *end, by.as_deref(), *at)?;
        Ok(())
    }

    fn add_queued(&self, mut queued: QueuedRun) -> Result<(), MergeError> {
        check_number(queued.bypassed, "number of runs that have passed it")?;
        let run = &queued.run;
        let StoredRun { id, has_ended } = self.find_run(run)?.ok_or_else(|| unknown_run(run))?;
        if has_ended {
            return Ok(());
        }
        let is_new = id > self.newest_run;
        if !is_new {
            let (position, submitted) = queue::position_and_submitted(self.transaction, id)?;
            if submitted != queued.submitted {
                return Err(other_history(run));
            }
            let newest = "SELECT coalesce(max(id), 0) FROM attempts WHERE run = ?1";
            let newest: i64 =
                self.transaction.prepare_cached(newest)?.query_row([id], |row| row.get(0))?;
            if newest <= self.newest_attempt {
                return Ok(());
            }
            queued.position = position;
        }
        let experiment = queue::experiment(self.transaction, &run.experiment)?.0;
        queue::put_queued(self.transaction, id, experiment, &queued)?;
        if is_new && !self.is_restore {
            let QueuePosition(last) = queue::last_position(self.transaction)?;
            let last = QueuePosition(last.saturating_add(1));
            queue::move_to(self.transaction, &queued.run, last)?;
            let has_attempts = "SELECT 1 FROM attempts WHERE run = ?1";
            if !self.transaction.prepare_cached(has_attempts)?.exists([id])? {
                let event = NewEvent::submitted(&queued);
                queue::insert_event(self.transaction, &event, self.at)?;
            }
        }
        Ok(())
    }

    fn add_group(&self, group: Group) -> Result<(), MergeError> {
        if queue::group(self.transaction, &group.name)?.is_none() {
            let change = Change::SetGroup { group, by: AUTHOR.to_owned() };
            queue::change(self.transaction, &change, self.at)?;
        }
        Ok(())
    }

    fn set_admission(&self, admission: AdmissionLine) -> Result<(), MergeError> {
        let AdmissionLine { last_position, paused } = admission;
        if last_position > HIGHEST_POSITION {
            return Err(InvalidLine::TooHigh { what: "last position" }.into());
        }
        if self.is_restore {
            let pause = paused.map(Pause::from);
            queue::change(
                self.transaction,
                &Change::Pause { pause, by: AUTHOR.to_owned() },
                self.at,
            )?;
            queue::advance_last_position(self.transaction, QueuePosition(last_position))?;
        }
        Ok(())
    }

    /// Checks, once, that each new run has ended or is in the queue. In an empty database, removes the events that
    /// were recorded meanwhile: the log comes from the lines.
    fn complete_queue(&mut self) -> Result<(), MergeError> {
        if self.has_queue {
            return Ok(());
        }
        self.has_queue = true;
        let mut missing = self.transaction.prepare(
            "SELECT r.id, e.name, r.number FROM runs r JOIN experiments e ON e.id = r.experiment
             WHERE r.id > ?1 AND r.ended_by IS NULL
                 AND NOT EXISTS (SELECT 1 FROM queue WHERE run = r.id) LIMIT 1",
        )?;
        let mut missing = missing.query([self.newest_run])?;
        if let Some(row) = missing.next()? {
            let fields = RowReader::new(row, row.get(0)?);
            let experiment = fields.parsed(ResultColumn(1, "experiment"))?;
            let number = RunNumber(fields.value(ResultColumn(2, "run"))?);
            return Err(InvalidLine::NotQueued { run: RunId { experiment, number } }.into());
        }
        if self.is_restore {
            self.transaction.execute_batch(
                "DELETE FROM events; DELETE FROM sqlite_sequence WHERE name = 'events'",
            )?;
        }
        Ok(())
    }

    fn add_event(&mut self, line: EventLine) -> Result<(), MergeError> {
        let EventLine { seq, at, kind, experiment, run, attempt, data } = line;
        if seq > HIGHEST_TOTAL {
            return Err(InvalidLine::TooHigh { what: "number of the event" }.into());
        }
        let after = self.last_event.replace(seq);
        if after.map_or(seq == 0, |after| seq != after + 1) {
            let after = after.unwrap_or_default();
            return Err(InvalidLine::EventGap { found: seq, after }.into());
        }
        if self.is_restore {
            let event = Event { seq, at, kind, experiment, run, attempt, data };
            queue::restore_event(self.transaction, event)?;
            self.imported.events += 1;
        }
        Ok(())
    }

    fn find_run(&self, run: &RunId) -> Result<Option<StoredRun>, DatabaseError> {
        let mut statement = self.transaction.prepare_cached(
            "SELECT id, ended_by IS NOT NULL FROM runs WHERE number = ?2
                 AND experiment = (SELECT id FROM experiments WHERE name = ?1)",
        )?;
        let found = statement
            .query_row(params![run.experiment.as_str(), run.number.0], |row| {
                Ok(StoredRun { id: row.get(0)?, has_ended: row.get(1)? })
            })
            .optional()?;
        Ok(found)
    }
}

fn check_number(number: u32, what: &'static str) -> Result<(), InvalidLine> {
    if number > HIGHEST_NUMBER { Err(InvalidLine::TooHigh { what }) } else { Ok(()) }
}

fn unknown_run(run: &RunId) -> MergeError {
    InvalidLine::UnknownRun { run: run.clone() }.into()
}

fn other_history(run: &RunId) -> MergeError {
    InvalidLine::OtherHistory { experiment: run.experiment.clone() }.into()
}
