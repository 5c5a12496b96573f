//! What changes the database; every function runs inside its caller's transaction.

use bij_core::port::{Closing, Opened, Opening};
use bij_core::queue::QueueState;
use bij_core::{
    Attempt, AttemptEnd, AttemptKey, AttemptNumber, BootId, Continuation, ExperimentId, Outcome,
    RunEnd, RunId, Tally, Timestamp,
};
use rusqlite::{OptionalExtension, Transaction, params};

use crate::failure::Failure;
use crate::row::signed;
use crate::{queue, read};

/// Opens an attempt, or tells again what it was told when it was opened.
pub(crate) fn open(within: &Transaction<'_>, opening: &Opening) -> Result<Opened, Failure> {
    if let Some((row, attempt)) = owned(within, &opening.experiment, opening.key)? {
        let before = read::before(within, row, &attempt)?;
        return Ok(Opened { run: attempt.run, attempt: attempt.number, before });
    }
    let place = Place::find(within, opening)?;
    place.insert(within, opening)?;
    let Place { run, new: _, attempt, before } = place;
    Ok(Opened { run, attempt, before })
}

/// Ends an attempt; opens it first if nobody has.
pub(crate) fn close(within: &Transaction<'_>, closing: &Closing) -> Result<Outcome, Failure> {
    let Closing { experiment, key, ready, end, started: _ } = closing;
    let row = match owned(within, experiment, *key)? {
        Some((_, Attempt { end: Some(_), .. })) => return Ok(Outcome::Unchanged),
        Some((row, _)) => row,
        None => {
            let opening = closing.to_opening();
            Place::find(within, &opening)?.insert(within, &opening)?
        }
    };
    let evidence = serde_json::to_string(&end.evidence)
        .expect("evidence is plain data with text keys, which JSON can always write");
    within
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
    end_run_of(within, row, end)?;
    Ok(Outcome::Changed)
}

/// Marks a boot as ended in good order.
pub(crate) fn mark_clean_shutdown(
    within: &Transaction<'_>,
    boot: BootId,
    at: Timestamp,
) -> Result<Outcome, Failure> {
    let added = within.execute(
        "INSERT INTO boots (id, ended) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        params![boot.to_string(), at.as_micros()],
    )?;
    Ok(if added == 0 { Outcome::Unchanged } else { Outcome::Changed })
}

/// An attempt of this experiment; one of another experiment under the same key is an error.
fn owned(
    within: &Transaction<'_>,
    experiment: &ExperimentId,
    key: AttemptKey,
) -> Result<Option<(i64, Attempt)>, Failure> {
    match read::attempt(within, key)? {
        Some((_, attempt)) if attempt.run.experiment != *experiment => {
            Err(Failure::Claimed { owner: attempt.run.experiment })
        }
        found => Ok(found),
    }
}

/// Where a new attempt belongs.
struct Place {
    run: RunId,
    /// Whether there is no such run yet.
    new: bool,
    attempt: AttemptNumber,
    before: Tally,
}

impl Place {
    /// Decides, and marks the newest run as ended if that follows.
    fn find(within: &Transaction<'_>, opening: &Opening) -> Result<Self, Failure> {
        let Opening { experiment, key, at, uptime: _, start } = opening;
        let mut before = read::tally(within, experiment)?;
        let standing = queue::standing(within, experiment, &before)?;
        let Continuation { run: number, gave_up } =
            Continuation::decide(&standing, *start, key.boot);
        if let Some(number) = gave_up {
            let other = RunId { experiment: experiment.clone(), number };
            queue::end_run(within, &other, RunEnd::GaveUp, None, *at)?;
            before.last_run_end = Some(RunEnd::GaveUp);
        }
        let run = RunId { experiment: experiment.clone(), number };
        let new = standing.highest.is_none_or(|highest| highest < number);
        let attempt = if new { AttemptNumber(1) } else { read::next_attempt(within, &run)? };
        Ok(Self { run, new, attempt, before })
    }

    /// Writes the attempt, its run and its experiment, as far as they are new.
    fn insert(&self, within: &Transaction<'_>, opening: &Opening) -> Result<i64, Failure> {
        let Opening { experiment: _, key, at, uptime, start: _ } = opening;
        let name = self.run.experiment.as_str();
        if self.new {
            within.execute(
                "INSERT INTO experiments (name) VALUES (?1) ON CONFLICT DO NOTHING",
                params![name],
            )?;
            within.execute(
                "INSERT INTO runs (experiment, number)
                 SELECT id, ?2 FROM experiments WHERE name = ?1",
                params![name, self.run.number.0],
            )?;
        }
        within.execute(
            "INSERT INTO attempts (experiment, run, number, boot, invocation, started, started_uptime)
             SELECT e.id, r.id, ?3, ?4, ?5, ?6, ?7
             FROM experiments e JOIN runs r ON r.experiment = e.id
             WHERE e.name = ?1 AND r.number = ?2",
            params![
                name,
                self.run.number.0,
                self.attempt.0,
                key.boot.to_string(),
                key.invocation.to_string(),
                at.as_micros(),
                uptime.map(|uptime| signed(uptime.as_micros())),
            ],
        )?;
        Ok(within.last_insert_rowid())
    }
}

/// Ends the run of an attempt that has ended, if that follows and it is the run's newest: a run
/// that went on after an attempt was not ended by it, however late its end becomes known.
fn end_run_of(within: &Transaction<'_>, row: i64, end: &AttemptEnd) -> Result<(), Failure> {
    let found: Option<(i64, Option<String>)> = within
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
        within
            .prepare_cached("UPDATE runs SET ended_by = ?2, ended = ?3 WHERE id = ?1")?
            .execute(params![run, run_end.as_str(), end.at.as_micros()])?;
    }
    Ok(())
}
