//! Queries on attempts and tallies.

use std::collections::BTreeMap;

use bij_core::port::AttemptQuery;
use bij_core::{Attempt, AttemptKey, AttemptNumber, BootId, Cause, ExperimentId, Progress};
use bij_core::{RunEnd, RunId, RunNumber, Tally};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, named_params, params};

use crate::database_error::DatabaseError;
use crate::row::{self, Column, NEXT, RowReader};

const FROM: &str =
    "FROM attempts a JOIN runs r ON r.id = a.run JOIN experiments e ON e.id = a.experiment
     LEFT JOIN attempt_boards b ON b.attempt = a.id";

/// Adds the conditions for an experiment and a run. The statement holds only those that apply, so that
/// SQLite can use the index.
fn add_run_conditions<'a>(
    name: Option<&'a &'a str>,
    run: Option<&'a u32>,
    conditions: &mut Vec<&str>,
    values: &mut Vec<(&str, &'a dyn ToSql)>,
) {
    if let Some(name) = name {
        conditions.push("a.experiment = (SELECT id FROM experiments WHERE name = :name)");
        values.push((":name", name));
    }
    if let Some(run) = run {
        conditions.push("r.number = :run");
        values.push((":run", run));
    }
}

/// Returns the attempts that match a query, oldest first.
pub(crate) fn attempts(
    connection: &Connection,
    query: &AttemptQuery,
) -> Result<Vec<Attempt>, DatabaseError> {
    let AttemptQuery { experiment, run, newest, skip_newest, open } = query;
    let name = experiment.as_ref().map(ExperimentId::as_str);
    let run = run.map(|RunNumber(number)| number);
    let mut conditions = vec!["TRUE"];
    let mut values: Vec<(&str, &dyn ToSql)> = Vec::new();
    add_run_conditions(name.as_ref(), run.as_ref(), &mut conditions, &mut values);
    if *open {
        conditions.push("a.ended IS NULL");
    }
    let to_i64 = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let skipped = to_i64(*skip_newest);
    // A negative limit means no limit (<https://www.sqlite.org/lang_select.html#limitoffset>).
    let limit = newest.map_or(-1, to_i64);
    let is_part = newest.is_some() || *skip_newest > 0;
    let order = if is_part {
        values.push((":limit", &limit));
        values.push((":skipped", &skipped));
        "DESC LIMIT :limit OFFSET :skipped"
    } else {
        "ASC"
    };
    // Open attempts are few. SQLite does not know that and would scan all attempts in order.
    let index = if *open { "INDEXED BY attempts_open" } else { "" };
    let from = FROM.replacen("attempts a", &format!("attempts a {index}"), 1);
    let columns = row::ATTEMPT;
    let conditions = conditions.join(" AND ");
    let sql = format!("SELECT {columns} {from} WHERE {conditions} ORDER BY a.id {order}");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(values.as_slice())?;
    let mut attempts = Vec::new();
    while let Some(row) = rows.next()? {
        attempts.push(row::attempt(row)?);
    }
    if is_part {
        attempts.reverse();
    }
    Ok(attempts)
}

/// Returns up to `at_most` attempts after a row with their rows, oldest first.
pub(crate) fn attempts_after(
    connection: &Connection,
    experiment: Option<&ExperimentId>,
    run: Option<RunNumber>,
    after: i64,
    at_most: usize,
) -> Result<Vec<(i64, Attempt)>, DatabaseError> {
    let name = experiment.map(ExperimentId::as_str);
    let run = run.map(|RunNumber(number)| number);
    let at_most = i64::try_from(at_most).unwrap_or(i64::MAX);
    let mut conditions = vec!["a.id > :after"];
    let mut values: Vec<(&str, &dyn ToSql)> = vec![(":after", &after), (":at_most", &at_most)];
    add_run_conditions(name.as_ref(), run.as_ref(), &mut conditions, &mut values);
    let (columns, conditions) = (row::ATTEMPT, conditions.join(" AND "));
    let sql =
        format!("SELECT {columns} {FROM} WHERE {conditions} ORDER BY a.id ASC LIMIT :at_most");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(values.as_slice())?;
    let mut attempts = Vec::new();
    while let Some(row) = rows.next()? {
        attempts.push((row.get(0)?, row::attempt(row)?));
    }
    Ok(attempts)
}

/// Returns the attempt with a key and its row.
pub(crate) fn attempt(
    connection: &Connection,
    key: AttemptKey,
) -> Result<Option<(i64, Attempt)>, DatabaseError> {
    let columns = row::ATTEMPT;
    let sql = format!("SELECT {columns} {FROM} WHERE a.boot = ?1 AND a.invocation = ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![key.boot.to_string(), key.invocation.to_string()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some((row.get(0)?, row::attempt(row)?)))
}

/// Returns the tally of an experiment.
pub(crate) fn tally(connection: &Connection, id: &ExperimentId) -> Result<Tally, DatabaseError> {
    Ok(aggregate_tallies(connection, Some(id))?.remove(id).unwrap_or_default())
}

/// Returns the tallies of all experiments, with two queries in total.
pub(crate) fn tallies(
    connection: &Connection,
) -> Result<BTreeMap<ExperimentId, Tally>, DatabaseError> {
    aggregate_tallies(connection, None)
}

fn aggregate_tallies(
    connection: &Connection,
    only: Option<&ExperimentId>,
) -> Result<BTreeMap<ExperimentId, Tally>, DatabaseError> {
    let columns = row::ATTEMPT;
    let condition = if only.is_some() { "WHERE e.name = ?1" } else { "" };
    let sql = format!(
        "SELECT {columns}, e.attempts, e.crashes, e.last_cause, e.checkpoint, r.ended_by
         FROM experiments e JOIN attempts a ON a.id = e.newest JOIN runs r ON r.id = a.run
             LEFT JOIN attempt_boards b ON b.attempt = a.id
         {condition}"
    );
    let name = only.map(ExperimentId::as_str);
    let mut tallies = BTreeMap::new();
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(rusqlite::params_from_iter(name))?;
    while let Some(row) = rows.next()? {
        let tally = tally_from_row(row)?;
        let last = tally.last.as_ref().map(|attempt| attempt.run.experiment.clone());
        tallies.extend(last.map(|id| (id, tally)));
    }
    let sql = format!(
        "SELECT e.id, e.name, c.cause, c.crashes
         FROM crash_counts c JOIN experiments e ON e.id = c.experiment {condition}"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(rusqlite::params_from_iter(name))?;
    while let Some(row) = rows.next()? {
        let fields = RowReader::new(row, row.get(0)?);
        let id: ExperimentId = fields.parsed(Column(1, "experiment"))?;
        if let Some(tally) = tallies.get_mut(&id) {
            let cause: Cause = fields.parsed(Column(2, "cause"))?;
            tally.crashes_by_cause.insert(cause, fields.value(Column(3, "crashes"))?);
        }
    }
    Ok(tallies)
}

/// Reads a tally without its crashes by cause from a row of [`aggregate_tallies`].
fn tally_from_row(row: &Row<'_>) -> Result<Tally, DatabaseError> {
    let fields = RowReader::from_attempt(row)?;
    Ok(Tally {
        attempts: fields.value(Column(NEXT, "attempts"))?,
        crashes: fields.value(Column(NEXT + 1, "crashes"))?,
        crashes_by_cause: BTreeMap::new(),
        last: Some(row::attempt(row)?),
        last_cause: fields.parsed_optional::<Cause>(Column(NEXT + 2, "last_cause"))?,
        last_checkpoint: fields.json_optional::<Progress>(Column(NEXT + 3, "checkpoint"))?,
        last_run_end: fields.run_end(Column(NEXT + 4, "ended_by"))?,
    })
}

/// Returns the tally of an experiment as it was before an attempt of it was opened.
///
/// The counters are the current ones minus the attempts since, so that removed rows still count.
pub(crate) fn before(
    connection: &Connection,
    row: i64,
    attempt: &Attempt,
) -> Result<Tally, DatabaseError> {
    let experiment = &attempt.run.experiment;
    let mut tally = tally(connection, experiment)?;
    let since = "SELECT a.cause, a.crash, count(*) FROM attempts a
         JOIN experiments e ON e.id = a.experiment
         WHERE e.name = ?1 AND a.id >= ?2 GROUP BY a.cause, a.crash";
    let mut statement = connection.prepare_cached(since)?;
    let mut rows = statement.query(params![experiment.as_str(), row])?;
    while let Some(found) = rows.next()? {
        let fields = RowReader::new(found, row);
        let count: u64 = fields.value(Column(2, "count"))?;
        tally.attempts = tally.attempts.saturating_sub(count);
        if fields.value::<bool>(Column(1, "crash"))? {
            tally.crashes = tally.crashes.saturating_sub(count);
            let cause: Cause = fields.parsed(Column(0, "cause"))?;
            let crashes = tally.crashes_by_cause.entry(cause).or_default();
            *crashes = crashes.saturating_sub(count);
        }
    }
    tally.crashes_by_cause.retain(|_, count| *count > 0);
    let newest = |condition| newest_before(connection, experiment, row, condition);
    tally.last = newest("TRUE")?;
    let ended = newest("a.ended IS NOT NULL")?;
    tally.last_cause = ended.and_then(|attempt| attempt.end).map(|end| end.cause);
    let saved = newest("json_extract(a.evidence, '$.progress.checkpoint') IS NOT NULL")?;
    tally.last_checkpoint =
        saved.and_then(|attempt| attempt.end).and_then(|end| end.evidence.progress);
    tally.last_run_end = match &tally.last {
        Some(last) if last.run != attempt.run => run_end(connection, last)?,
        _ => None,
    };
    Ok(tally)
}

fn newest_before(
    connection: &Connection,
    experiment: &ExperimentId,
    row: i64,
    condition: &'static str,
) -> Result<Option<Attempt>, DatabaseError> {
    let columns = row::ATTEMPT;
    let sql = format!(
        "SELECT {columns} {FROM} WHERE e.name = :name AND a.id < :row AND {condition}
         ORDER BY a.id DESC LIMIT 1"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(named_params! { ":name": experiment.as_str(), ":row": row })?;
    rows.next()?.map(row::attempt).transpose()
}

/// Returns the number of a run's next attempt.
pub(crate) fn next_attempt(
    connection: &Connection,
    run: &RunId,
) -> Result<AttemptNumber, DatabaseError> {
    let mut statement = connection.prepare_cached(
        "SELECT coalesce(max(a.number), 0) + 1 FROM attempts a WHERE a.run = (
             SELECT id FROM runs WHERE number = ?2
                 AND experiment = (SELECT id FROM experiments WHERE name = ?1)
         )",
    )?;
    let number =
        statement.query_row(params![run.experiment.as_str(), run.number.0], |row| row.get(0))?;
    Ok(AttemptNumber(number))
}

fn run_end(connection: &Connection, attempt: &Attempt) -> Result<Option<RunEnd>, DatabaseError> {
    let mut statement = connection.prepare_cached(
        "SELECT r.id, r.ended_by FROM runs r JOIN experiments e ON e.id = r.experiment
         WHERE e.name = ?1 AND r.number = ?2",
    )?;
    let mut rows =
        statement.query(params![attempt.run.experiment.as_str(), attempt.run.number.0])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    RowReader::new(row, row.get(0)?).run_end(Column(1, "ended_by"))
}

/// Whether a boot ended with a clean shutdown.
pub(crate) fn ended_cleanly(connection: &Connection, boot: BootId) -> Result<bool, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM boots WHERE id = ?1")?;
    Ok(statement.query_row([boot.to_string()], |_| Ok(())).optional()?.is_some())
}

/// Runs several queries on one snapshot of the database.
pub(crate) fn in_snapshot<T>(
    connection: &Connection,
    query: impl FnOnce(&Connection) -> Result<T, DatabaseError>,
) -> Result<T, DatabaseError> {
    let snapshot = connection.unchecked_transaction()?;
    let result = query(&snapshot)?;
    snapshot.finish()?;
    Ok(result)
}
