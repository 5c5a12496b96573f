//! What is written into the queue; every function runs inside its caller's transaction.

use std::collections::BTreeMap;

use bij_core::definition::Clocks;
use bij_core::queue::{Claim, Dependencies, Happening, Place, QueuedRun, Submission, Terms};
use bij_core::{Bytes, ExperimentId, RunNumber, Timestamp};
use rusqlite::{Params, Transaction, params};

use super::{read, row};
use crate::failure::Failure;

/// Takes runs in. However many are queued, each costs the same few looks into indexes.
pub(crate) fn submit(
    within: &Transaction<'_>,
    submissions: &[Submission],
    at: Timestamp,
) -> Result<Vec<QueuedRun>, Failure> {
    let mut known = BTreeMap::<&ExperimentId, (i64, u32)>::new();
    let mut taken = Vec::with_capacity(submissions.len());
    let Place(mut last) = read::last_place(within)?;
    for submission in submissions {
        let name = &submission.experiment;
        let (experiment, highest) = match known.get_mut(name) {
            Some(known) => known,
            None => known.entry(name).or_insert(experiment(within, name)?),
        };
        *highest += 1;
        last += 1;
        let queued = QueuedRun::submitted(submission, RunNumber(*highest), Place(last), at);
        insert(within, *experiment, &queued)?;
        tell(within, &Happening::submitted(&queued), at)?;
        taken.push(queued);
    }
    Ok(taken)
}

/// An experiment's row, which is made where it is missing, and the highest number of its runs.
fn experiment(within: &Transaction<'_>, name: &ExperimentId) -> Result<(i64, u32), Failure> {
    execute(within, EXPERIMENT, [name.as_str()])?;
    let mut statement = within.prepare_cached(HIGHEST)?;
    Ok(statement.query_row([name.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

fn insert(within: &Transaction<'_>, experiment: i64, queued: &QueuedRun) -> Result<(), Failure> {
    // One that is taken in is not up, so nobody wants it stopped.
    let QueuedRun { run, state, terms, place, bypassed, submitted, extras, by, origin, stop: _ } =
        queued;
    let id = within.prepare_cached(RUN)?.insert(params![experiment, run.number.0])?;
    let (state, holder, boot) = row::state_columns(state);
    let Terms { priority, group, claim, not_before, after, now, power, clocks } = terms;
    let Claim { memory, gpu } = claim;
    let (at, delay, delay_boot, due) = row::not_before_columns(*not_before);
    execute(
        within,
        QUEUED,
        params![
            id,
            experiment,
            state,
            holder,
            boot,
            priority,
            place.0,
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

/// Most runs say nothing of clocks, and then there is nothing to keep.
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
pub(super) const EVENT: &str = "INSERT INTO events (at, kind, experiment, run, attempt, data)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

/// Whether the statement has changed a row.
pub(super) fn execute(
    within: &Transaction<'_>,
    sql: &str,
    params: impl Params,
) -> Result<bool, Failure> {
    Ok(within.prepare_cached(sql)?.execute(params)? > 0)
}

pub(super) fn tell(
    within: &Transaction<'_>,
    happening: &Happening,
    at: Timestamp,
) -> Result<(), Failure> {
    let Happening { kind, experiment, run, attempt, data } = happening;
    let data = (!data.is_empty()).then(|| {
        serde_json::to_string(data).expect("texts by texts are what JSON can always write")
    });
    execute(
        within,
        EVENT,
        params![
            at.as_micros(),
            kind.as_str(),
            experiment.as_ref().map(ExperimentId::as_str),
            run.map(|number| number.0),
            attempt.map(|number| number.0),
            data,
        ],
    )?;
    Ok(())
}

/// As the database has it: what is more than it can write is no limit that any machine has.
pub(super) fn bytes(memory: Option<Bytes>) -> Option<i64> {
    memory.map(|memory| i64::try_from(memory.get()).unwrap_or(i64::MAX))
}

pub(super) fn dependencies(after: &Dependencies) -> Option<String> {
    (*after != Dependencies::default()).then(|| {
        serde_json::to_string(after).expect("a list of texts is what JSON can always write")
    })
}
