//! Writes submissions and events; every function runs inside its caller's transaction.

use std::collections::BTreeMap;

use bij_core::queue::{
    Claim, Dependencies, Event, NewEvent, QueuePosition, QueuedRun, Submission, Terms,
};
use bij_core::spec::Clocks;
use bij_core::{Bytes, ExperimentId, RunNumber, Timestamp};
use rusqlite::{Params, Transaction, params};

use super::{read, row};
use crate::database_error::DatabaseError;

/// Adds runs to the queue. Each takes the same few index lookups, however many runs are queued.
pub(crate) fn submit(
    transaction: &Transaction<'_>,
    submissions: &[Submission],
    at: Timestamp,
) -> Result<Vec<QueuedRun>, DatabaseError> {
    let mut known = BTreeMap::<&ExperimentId, (i64, u32)>::new();
    let mut added = Vec::with_capacity(submissions.len());
    let QueuePosition(mut last) = read::last_position(transaction)?;
    for submission in submissions {
        let name = &submission.experiment;
        let (experiment, highest) = match known.get_mut(name) {
            Some(known) => known,
            None => known.entry(name).or_insert(experiment(transaction, name)?),
        };
        *highest += 1;
        last += 1;
        let queued = QueuedRun::submitted(submission, RunNumber(*highest), QueuePosition(last), at);
        insert(transaction, *experiment, &queued)?;
        insert_event(transaction, &NewEvent::submitted(&queued), at)?;
        added.push(queued);
    }
    Ok(added)
}

/// Returns the row of an experiment, which is inserted if it is missing, and the highest number of its runs.
pub(crate) fn experiment(
    transaction: &Transaction<'_>,
    name: &ExperimentId,
) -> Result<(i64, u32), DatabaseError> {
    execute(transaction, EXPERIMENT, [name.as_str()])?;
    let mut statement = transaction.prepare_cached(HIGHEST)?;
    Ok(statement.query_row([name.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

/// Inserts a run of an experiment and returns its row.
pub(crate) fn insert_run(
    transaction: &Transaction<'_>,
    experiment: i64,
    number: RunNumber,
) -> Result<i64, DatabaseError> {
    Ok(transaction.prepare_cached(RUN)?.insert(params![experiment, number.0])?)
}

fn insert(
    transaction: &Transaction<'_>,
    experiment: i64,
    queued: &QueuedRun,
) -> Result<(), DatabaseError> {
    let id = insert_run(transaction, experiment, queued.run.number)?;
    execute_queued(transaction, QUEUED, id, experiment, queued)
}

/// Puts a run with this row into the queue as it is, in the place of its entry if it has one.
pub(crate) fn put_queued(
    transaction: &Transaction<'_>,
    id: i64,
    experiment: i64,
    queued: &QueuedRun,
) -> Result<(), DatabaseError> {
    let values = "state holder boot priority place bypassed group_name memory gpu not_before \
                  dependencies now submitted extras submitter origin power clocks delay delay_boot \
                  delay_due";
    let set = values.split(' ').map(|column| format!("{column} = excluded.{column}"));
    let set = set.collect::<Vec<_>>().join(", ");
    let sql = format!("{QUEUED} ON CONFLICT (run) DO UPDATE SET stopper = NULL, {set}");
    execute_queued(transaction, &sql, id, experiment, queued)?;
    if let Some(stopper) = &queued.stop {
        execute(transaction, "UPDATE queue SET stopper = ?2 WHERE run = ?1", params![id, stopper])?;
    }
    Ok(())
}

/// Executes a statement with the parameters of [`QUEUED`].
fn execute_queued(
    transaction: &Transaction<'_>,
    sql: &str,
    id: i64,
    experiment: i64,
    queued: &QueuedRun,
) -> Result<(), DatabaseError> {
    // A submitted run has no stop: none can be requested before a run has started.
    let QueuedRun {
        run: _,
        state,
        terms,
        position,
        bypassed,
        submitted,
        extras,
        by,
        origin,
        stop: _,
    } = queued;
    let (state, holder, boot) = row::state_columns(state);
    let Terms { priority, group, claim, not_before, after, now, power, clocks } = terms;
    let Claim { memory, gpu } = claim;
    let (at, delay, delay_boot, due) = row::not_before_columns(*not_before);
    execute(
        transaction,
        sql,
        params![
            id,
            experiment,
            state,
            holder,
            boot,
            priority,
            position.0,
            bypassed,
            group.as_str(),
            bytes(*memory),
            gpu.as_str(),
            at,
            dependencies(after),
            now,
            submitted.as_micros(),
            extras,
            by,
            origin.as_str(),
            power.as_ref().map(ToString::to_string),
            clocks_word(*clocks),
            delay,
            delay_boot,
            due,
        ],
    )?;
    Ok(())
}

/// Returns the value of the column `clocks`; null for the default.
pub(super) fn clocks_word(clocks: Clocks) -> Option<&'static str> {
    (clocks != Clocks::default()).then(|| clocks.as_str())
}

pub(super) const EXPERIMENT: &str =
    "INSERT INTO experiments (name) VALUES (?1) ON CONFLICT DO NOTHING";
pub(super) const HIGHEST: &str = "SELECT e.id,
    coalesce((SELECT max(number) FROM runs WHERE experiment = e.id), 0)
    FROM experiments e WHERE e.name = ?1";
pub(super) const RUN: &str = "INSERT INTO runs (experiment, number) VALUES (?1, ?2)";
pub(super) const QUEUED: &str = "INSERT INTO queue (
    run, experiment, state, holder, boot, priority, place, bypassed, group_name, memory, gpu,
    not_before, dependencies, now, submitted, extras, submitter, origin, power,
    clocks, delay, delay_boot, delay_due
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22,
    ?23)";
/// A missing number is the next one.
pub(super) const EVENT: &str = "INSERT INTO events (at, kind, experiment, run, attempt, data, seq)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

/// Executes a statement. Returns `true` if it has changed a row.
pub(super) fn execute(
    transaction: &Transaction<'_>,
    sql: &str,
    params: impl Params,
) -> Result<bool, DatabaseError> {
    Ok(transaction.prepare_cached(sql)?.execute(params)? > 0)
}

/// Records an event with the next number.
pub(crate) fn insert_event(
    transaction: &Transaction<'_>,
    event: &NewEvent,
    at: Timestamp,
) -> Result<(), DatabaseError> {
    insert_numbered(transaction, event, at, None)
}

/// Records an event of another database with its number.
pub(crate) fn restore_event(
    transaction: &Transaction<'_>,
    event: Event,
) -> Result<(), DatabaseError> {
    let Event { seq, at, kind, experiment, run, attempt, data } = event;
    let event = NewEvent { kind, experiment, run, attempt, data };
    insert_numbered(transaction, &event, at, Some(seq))
}

fn insert_numbered(
    transaction: &Transaction<'_>,
    event: &NewEvent,
    at: Timestamp,
    seq: Option<u64>,
) -> Result<(), DatabaseError> {
    let NewEvent { kind, experiment, run, attempt, data } = event;
    let data = (!data.is_empty())
        .then(|| serde_json::to_string(data).expect("JSON can hold any map from text to text"));
    execute(
        transaction,
        EVENT,
        params![
            at.as_micros(),
            kind.as_str(),
            experiment.as_ref().map(ExperimentId::as_str),
            run.map(|number| number.0),
            attempt.map(|number| number.0),
            data,
            seq,
        ],
    )?;
    Ok(())
}

/// Returns the value of the column `memory`; amounts above SQLite's maximum exceed any machine's memory.
pub(super) fn bytes(memory: Option<Bytes>) -> Option<i64> {
    memory.map(|memory| i64::try_from(memory.get()).unwrap_or(i64::MAX))
}

pub(super) fn dependencies(after: &Dependencies) -> Option<String> {
    (*after != Dependencies::default())
        .then(|| serde_json::to_string(after).expect("JSON can hold any list of texts"))
}
