//! Writes attempts; every function runs inside its caller's transaction.

use bij_core::port::{Closing, Opened, Opening};
use bij_core::queue::QueueState;
use bij_core::{
    Attempt, AttemptEnd, AttemptKey, AttemptNumber, BootId, Continuation, ExperimentId, Outcome,
    RunEnd, RunId, Tally, Timestamp, Uptime,
};
use rusqlite::{OptionalExtension, Transaction, params};

use crate::database_error::DatabaseError;
use crate::row::saturating_i64;
use crate::{queue, read};

/// Opens an attempt. Returns the same again for an attempt that the database has already.
pub(crate) fn open(
    transaction: &Transaction<'_>,
    opening: &Opening,
) -> Result<Opened, DatabaseError> {
    if let Some((row, attempt)) = find_own_attempt(transaction, &opening.experiment, opening.key)? {
        let before = read::before(transaction, row, &attempt)?;
        return Ok(Opened { run: attempt.run, attempt: attempt.number, before });
    }
    let placement = AttemptPlacement::find(transaction, opening)?;
    placement.insert(transaction, opening)?;
    let AttemptPlacement { run, is_new_run: _, attempt, before } = placement;
    Ok(Opened { run, attempt, before })
}

/// Ends an attempt; opens it first if the database does not have it.
pub(crate) fn close(
    transaction: &Transaction<'_>,
    closing: &Closing,
) -> Result<Outcome, DatabaseError> {
    let Closing { experiment, key, ready, end, started: _ } = closing;
    let row = match find_own_attempt(transaction, experiment, *key)? {
        Some((_, Attempt { end: Some(_), .. })) => return Ok(Outcome::Unchanged),
        Some((row, _)) => row,
        None => {
            let opening = closing.to_opening();
            AttemptPlacement::find(transaction, &opening)?.insert(transaction, &opening)?
        }
    };
    end_attempt(transaction, row, *ready, end)?;
    end_run_of_attempt(transaction, row, end)?;
    Ok(Outcome::Changed)
}

/// Records the end of an open attempt, by its row. Its run stays open.
pub(crate) fn end_attempt(
    transaction: &Transaction<'_>,
    row: i64,
    ready: Option<Timestamp>,
    end: &AttemptEnd,
) -> Result<(), DatabaseError> {
    let evidence = serde_json::to_string(&end.evidence)
        .expect("evidence is plain data with text keys, which JSON can always write");
    transaction
        .prepare_cached(
            "UPDATE attempts
             SET ready = coalesce(?2, ready), ended = ?3, cause = ?4, crash = ?5, evidence = ?6
             WHERE id = ?1",
        )?
        .execute(params![
            row,
            ready.map(Timestamp::as_micros),
            end.at.as_micros(),
            end.cause.as_str(),
            end.is_crash(),
            evidence,
        ])?;
    Ok(())
}

/// Inserts an attempt of a run that is in the database, with the time and uptime of its opening. Returns its row.
pub(crate) fn insert_attempt(
    transaction: &Transaction<'_>,
    run: &RunId,
    number: AttemptNumber,
    key: AttemptKey,
    (at, uptime): (Timestamp, Option<Uptime>),
) -> Result<i64, DatabaseError> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO attempts (experiment, run, number, boot, invocation, started, started_uptime)
         SELECT e.id, r.id, ?3, ?4, ?5, ?6, ?7
         FROM experiments e JOIN runs r ON r.experiment = e.id
         WHERE e.name = ?1 AND r.number = ?2",
    )?;
    let row = statement.insert(params![
        run.experiment.as_str(),
        run.number.0,
        number.0,
        key.boot.to_string(),
        key.invocation.to_string(),
        at.as_micros(),
        uptime.map(|uptime| saturating_i64(uptime.as_micros())),
    ])?;
    Ok(row)
}

/// Records that a boot ended with a clean shutdown.
pub(crate) fn mark_clean_shutdown(
    transaction: &Transaction<'_>,
    boot: BootId,
    at: Timestamp,
) -> Result<Outcome, DatabaseError> {
    let added = transaction.execute(
        "INSERT INTO boots (id, ended) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        params![boot.to_string(), at.as_micros()],
    )?;
    Ok(if added == 0 { Outcome::Unchanged } else { Outcome::Changed })
}

/// Returns the row of the attempt with this key, and the attempt; `None` if there is none.
///
/// # Errors
/// [`DatabaseError::Claimed`] if it is an attempt of another experiment.
fn find_own_attempt(
    transaction: &Transaction<'_>,
    experiment: &ExperimentId,
    key: AttemptKey,
) -> Result<Option<(i64, Attempt)>, DatabaseError> {
    match read::attempt(transaction, key)? {
        Some((_, attempt)) if attempt.run.experiment != *experiment => {
            Err(DatabaseError::Claimed { owner: attempt.run.experiment })
        }
        found => Ok(found),
    }
}

/// The run and the number that a new attempt gets.
struct AttemptPlacement {
    run: RunId,
    /// Whether the run is not in the database yet.
    is_new_run: bool,
    attempt: AttemptNumber,
    before: Tally,
}

impl AttemptPlacement {
    /// Decides on the placement, and ends the newest run if that follows from it.
    fn find(transaction: &Transaction<'_>, opening: &Opening) -> Result<Self, DatabaseError> {
        let Opening { experiment, key, at, uptime: _, start } = opening;
        let mut before = read::tally(transaction, experiment)?;
        let standing = queue::standing(transaction, experiment, &before)?;
        let Continuation { run: number, gave_up } =
            Continuation::decide(&standing, *start, key.boot);
        if let Some(number) = gave_up {
            let other = RunId { experiment: experiment.clone(), number };
            queue::end_run(transaction, &other, RunEnd::GaveUp, None, Some(*at))?;
            before.last_run_end = Some(RunEnd::GaveUp);
        }
        let run = RunId { experiment: experiment.clone(), number };
        let is_new_run = standing.highest.is_none_or(|highest| highest < number);
        let attempt =
            if is_new_run { AttemptNumber(1) } else { read::next_attempt(transaction, &run)? };
        Ok(Self { run, is_new_run, attempt, before })
    }

    /// Inserts the attempt and, where they are new, its run and its experiment. Returns the attempt's row.
    fn insert(
        &self,
        transaction: &Transaction<'_>,
        opening: &Opening,
    ) -> Result<i64, DatabaseError> {
        let Opening { experiment: _, key, at, uptime, start: _ } = opening;
        let name = self.run.experiment.as_str();
        if self.is_new_run {
            transaction.execute(
                "INSERT INTO experiments (name) VALUES (?1) ON CONFLICT DO NOTHING",
                params![name],
            )?;
            transaction.execute(
                "INSERT INTO runs (experiment, number)
                 SELECT id, ?2 FROM experiments WHERE name = ?1",
                params![name, self.run.number.0],
            )?;
        }
        insert_attempt(transaction, &self.run, self.attempt, *key, (*at, *uptime))
    }
}

/// Ends the run of an ended attempt if that follows from its end. An attempt that is not the run's newest
/// did not end it: its end became known late.
fn end_run_of_attempt(
    transaction: &Transaction<'_>,
    row: i64,
    end: &AttemptEnd,
) -> Result<(), DatabaseError> {
    let found: Option<(i64, Option<String>)> = transaction
        .prepare_cached(
            "SELECT run, (SELECT state FROM queue WHERE run = a.run) FROM attempts a WHERE id = ?1
             AND NOT EXISTS (SELECT 1 FROM attempts WHERE run = a.run AND number > a.number)",
        )?
        .query_row([row], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((run, Some(state))) = found else { return Ok(()) };
    let running = state == QueueState::Running.as_str();
    let run_end = if running { RunEnd::after } else { RunEnd::after_put_back }(end);
    if let Some(run_end) = run_end {
        transaction
            .prepare_cached("UPDATE runs SET ended_by = ?2, ended = ?3 WHERE id = ?1")?
            .execute(params![run, run_end.as_str(), end.at.as_micros()])?;
    }
    Ok(())
}
