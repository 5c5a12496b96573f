//! What changes the database; every function runs inside its caller's transaction.

use bij_core::port::{Closing, Opened, Opening};
use bij_core::{
    Attempt, AttemptEnd, AttemptKey, AttemptNumber, BootId, Cause, Continuation, ExperimentId,
    NewestRun, Outcome, RunEnd, RunId, Standing, StartKind, Tally, Timestamp,
};
use rusqlite::{OptionalExtension, Transaction, params};

use crate::failure::Failure;
use crate::read;

/// Opens an attempt, or tells again what it was told when it was opened.
pub(crate) fn open(within: &Transaction<'_>, opening: &Opening) -> Result<Opened, Failure> {
    let Opening { experiment, key, at, start } = opening;
    if let Some((row, attempt)) = owned(within, experiment, *key)? {
        let before = read::before(within, row, &attempt)?;
        return Ok(Opened { run: attempt.run, attempt: attempt.number, before });
    }
    let place = Place::find(within, experiment, *key, *start)?;
    place.insert(within, *key, *at)?;
    let Place { run, attempt, before } = place;
    Ok(Opened { run, attempt, before })
}

/// Ends an attempt; opens it first if nobody has.
pub(crate) fn close(within: &Transaction<'_>, closing: &Closing) -> Result<Outcome, Failure> {
    let Closing { experiment, key, ready, end, started } = closing;
    let row = match owned(within, experiment, *key)? {
        Some((_, Attempt { end: Some(_), .. })) => return Ok(Outcome::Unchanged),
        Some((row, _)) => row,
        None => Place::find(within, experiment, *key, closing.start_kind())?
            .insert(within, *key, *started)?,
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
    attempt: AttemptNumber,
    before: Tally,
}

impl Place {
    /// Decides, and marks the newest run as ended if that follows.
    fn find(
        within: &Transaction<'_>,
        experiment: &ExperimentId,
        key: AttemptKey,
        start: StartKind,
    ) -> Result<Self, Failure> {
        let mut before = read::tally(within, experiment)?;
        let open = before.last.as_ref().filter(|_| before.last_run_end.is_none());
        let standing = Standing {
            newest: open.map(|last| NewestRun {
                number: last.run.number,
                boot: last.key.boot,
                interrupted: last.end.as_ref().is_some_and(|end| end.cause == Cause::Reboot),
                running: true,
            }),
            highest: before.last.as_ref().map(|last| last.run.number),
            ..Standing::default()
        };
        let Continuation { run: number, gave_up } =
            Continuation::decide(&standing, start, key.boot);
        if let Some(other) = gave_up {
            let other = RunId { experiment: experiment.clone(), number: other };
            end_run(within, &other, RunEnd::GaveUp)?;
            before.last_run_end = Some(RunEnd::GaveUp);
        }
        let same = before.last.as_ref().filter(|last| last.run.number == number);
        let attempt = same.map_or(1, |last| last.number.0 + 1);
        let run = RunId { experiment: experiment.clone(), number };
        Ok(Self { run, attempt: AttemptNumber(attempt), before })
    }

    /// Writes the attempt, its run and its experiment, as far as they are new.
    fn insert(
        &self,
        within: &Transaction<'_>,
        key: AttemptKey,
        started: Timestamp,
    ) -> Result<i64, Failure> {
        let name = self.run.experiment.as_str();
        within.execute(
            "INSERT INTO experiments (name) VALUES (?1) ON CONFLICT DO NOTHING",
            params![name],
        )?;
        within.execute(
            "INSERT INTO runs (experiment, number)
             SELECT id, ?2 FROM experiments WHERE name = ?1 ON CONFLICT DO NOTHING",
            params![name, self.run.number.0],
        )?;
        within.execute(
            "INSERT INTO attempts (experiment, run, number, boot, invocation, started)
             SELECT e.id, r.id, ?3, ?4, ?5, ?6
             FROM experiments e JOIN runs r ON r.experiment = e.id
             WHERE e.name = ?1 AND r.number = ?2",
            params![
                name,
                self.run.number.0,
                self.attempt.0,
                key.boot.to_string(),
                key.invocation.to_string(),
                started.as_micros(),
            ],
        )?;
        Ok(within.last_insert_rowid())
    }
}

fn end_run(within: &Transaction<'_>, run: &RunId, end: RunEnd) -> Result<(), Failure> {
    within.execute(
        "UPDATE runs SET ended_by = ?3
         WHERE number = ?2 AND ended_by IS NULL
             AND experiment = (SELECT id FROM experiments WHERE name = ?1)",
        params![run.experiment.as_str(), run.number.0, end.as_str()],
    )?;
    Ok(())
}

/// Ends the run of an attempt that has ended, if that follows and it is the run's newest: a run
/// that went on after an attempt was not ended by it, however late its end becomes known.
fn end_run_of(within: &Transaction<'_>, row: i64, end: &AttemptEnd) -> Result<(), Failure> {
    let Some(run_end) = RunEnd::after(end) else { return Ok(()) };
    let run: Option<i64> = within
        .prepare_cached(
            "SELECT run FROM attempts a WHERE id = ?1
             AND NOT EXISTS (SELECT 1 FROM attempts WHERE run = a.run AND number > a.number)",
        )?
        .query_row([row], |row| row.get(0))
        .optional()?;
    if let Some(run) = run {
        within.execute(
            "UPDATE runs SET ended_by = ?2 WHERE id = ?1 AND ended_by IS NULL",
            params![run, run_end.as_str()],
        )?;
    }
    Ok(())
}
