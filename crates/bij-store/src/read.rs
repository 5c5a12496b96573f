//! Queries on attempts and tallies.

use std::collections::BTreeMap;

use bij_core::port::{AttemptQuery, AttemptScan};
use bij_core::{Attempt, AttemptKey, AttemptNumber, BootId, Cause, ExperimentId, Progress};
use bij_core::{RunEnd, RunId, RunNumber, Tally};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, named_params, params};

use crate::database_error::DatabaseError;
use crate::row::{self, NEXT, ResultColumn, RowReader};

/// The tables of [`row::ATTEMPT`].
pub(crate) const FROM: &str =
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

/// Reads the oldest attempts of a scan behind a row.
pub(crate) fn attempts_after(
    connection: &Connection,
    scan: &AttemptScan,
    row: i64,
    at_most: usize,
) -> Result<Vec<Attempt>, DatabaseError> {
    let name = scan.experiment.as_ref().map(ExperimentId::as_str);
    let run = scan.run.map(|RunNumber(number)| number);
    let at_most = i64::try_from(at_most).unwrap_or(i64::MAX);
    let mut conditions = vec!["a.id > :row"];
    let mut values: Vec<(&str, &dyn ToSql)> = vec![(":row", &row), (":at_most", &at_most)];
    add_run_conditions(name.as_ref(), run.as_ref(), &mut conditions, &mut values);
    let (columns, conditions) = (row::ATTEMPT, conditions.join(" AND "));
    let sql =
        format!("SELECT {columns} {FROM} WHERE {conditions} ORDER BY a.id ASC LIMIT :at_most");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(values.as_slice())?;
    let mut attempts = Vec::new();
    while let Some(row) = rows.next()? {
        attempts.push(row::attempt(row)?);
    }
    Ok(attempts)
}

/// Reads the attempts of an experiment from a row on, and before it those that say how the history stands:
/// the newest one, the newest that has ended, the newest with a checkpoint, and the newest of each run that
/// is not over.
pub(crate) fn newest_attempts(
    connection: &Connection,
    experiment: &ExperimentId,
    row: i64,
) -> Result<Vec<Attempt>, DatabaseError> {
    let columns = row::ATTEMPT;
    let sql = format!(
        "WITH this AS (SELECT id, newest, newest_ended, checkpoint_of FROM experiments WHERE name = ?1)
         SELECT {columns} {FROM} WHERE a.id IN (
             SELECT o.id FROM attempts o JOIN this ON o.experiment = this.id WHERE o.id >= ?2
             UNION SELECT newest FROM this
             UNION SELECT newest_ended FROM this
             UNION SELECT checkpoint_of FROM this
             UNION SELECT (SELECT o.id FROM attempts o WHERE o.run = q.run ORDER BY o.number DESC LIMIT 1)
                 FROM queue q JOIN this ON q.experiment = this.id
         ) ORDER BY a.id"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![experiment.as_str(), row])?;
    let mut attempts = Vec::new();
    while let Some(row) = rows.next()? {
        attempts.push(row::attempt(row)?);
    }
    Ok(attempts)
}

/// Returns the row and the experiment of an attempt, by its key.
pub(crate) fn owner(
    connection: &Connection,
    key: AttemptKey,
) -> Result<Option<(i64, ExperimentId)>, DatabaseError> {
    let mut statement = connection.prepare_cached(
        "SELECT a.id, e.name FROM attempts a JOIN experiments e ON e.id = a.experiment
         WHERE a.boot = ?1 AND a.invocation = ?2",
    )?;
    let mut rows = statement.query(params![key.boot.to_string(), key.invocation.to_string()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let id = row.get(0)?;
    Ok(Some((id, RowReader::new(row, id).parsed(ResultColumn(1, "experiment"))?)))
}

/// One attempt and its row, by its key.
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

/// One experiment's history, added up.
pub(crate) fn tally(connection: &Connection, id: &ExperimentId) -> Result<Tally, DatabaseError> {
    let only = "WHERE e.name = ?1";
    Ok(aggregate_tallies(connection, only, params![id.as_str()])?.remove(id).unwrap_or_default())
}

/// Every experiment's history, added up: two queries however many there are.
pub(crate) fn tallies(
    connection: &Connection,
) -> Result<BTreeMap<ExperimentId, Tally>, DatabaseError> {
    aggregate_tallies(connection, "", params![])
}

/// The histories of the first experiments behind one, or of all, added up.
pub(crate) fn tallies_after(
    connection: &Connection,
    after: Option<&ExperimentId>,
    at_most: usize,
) -> Result<BTreeMap<ExperimentId, Tally>, DatabaseError> {
    let after = after.map_or("", ExperimentId::as_str);
    let at_most = i64::try_from(at_most).unwrap_or(i64::MAX);
    let later = "WHERE e.name > ?1 ORDER BY e.name LIMIT ?2";
    aggregate_tallies(connection, later, params![after, at_most])
}

fn aggregate_tallies(
    connection: &Connection,
    condition: &str,
    values: &[&dyn ToSql],
) -> Result<BTreeMap<ExperimentId, Tally>, DatabaseError> {
    let columns = row::ATTEMPT;
    let sql = format!(
        "SELECT {columns}, e.attempts, e.crashes, e.last_cause, e.checkpoint, r.ended_by
         FROM experiments e JOIN attempts a ON a.id = e.newest JOIN runs r ON r.id = a.run
             LEFT JOIN attempt_boards b ON b.attempt = a.id
         {condition}"
    );
    let mut tallies = BTreeMap::new();
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(values)?;
    while let Some(row) = rows.next()? {
        let tally = tally_from_row(row)?;
        let last = tally.last.as_ref().map(|attempt| attempt.run.experiment.clone());
        tallies.extend(last.map(|id: ExperimentId| (id, tally)));
    }
    let first = tallies.first_key_value().map(|(id, _)| id.as_str());
    let last = tallies.last_key_value().map(|(id, _)| id.as_str());
    let mut statement = connection.prepare_cached(
        "SELECT e.id, e.name, c.cause, c.crashes
         FROM crash_counts c JOIN experiments e ON e.id = c.experiment
         WHERE e.name BETWEEN ?1 AND ?2",
    )?;
    let mut rows = statement.query(params![first, last])?;
    while let Some(row) = rows.next()? {
        let fields = RowReader::new(row, row.get(0)?);
        let id: ExperimentId = fields.parsed(ResultColumn(1, "experiment"))?;
        if let Some(tally) = tallies.get_mut(&id) {
            let cause: Cause = fields.parsed(ResultColumn(2, "cause"))?;
            tally.crashes_by_cause.insert(cause, fields.value(ResultColumn(3, "crashes"))?);
        }
    }
    Ok(tallies)
}

/// Reads a tally without its crashes by cause from a row of [`aggregate_tallies`].
fn tally_from_row(row: &Row<'_>) -> Result<Tally, DatabaseError> {
    let fields = RowReader::from_attempt(row)?;
    Ok(Tally {
        attempts: fields.value(ResultColumn(NEXT, "attempts"))?,
        crashes: fields.value(ResultColumn(NEXT + 1, "crashes"))?,
        crashes_by_cause: BTreeMap::new(),
        last: Some(row::attempt(row)?),
        last_cause: fields.parsed_optional::<Cause>(ResultColumn(NEXT + 2, "last_cause"))?,
        last_checkpoint: fields.json_optional::<Progress>(ResultColumn(NEXT + 3, "checkpoint"))?,
        last_run_end: fields.run_end(ResultColumn(NEXT + 4, "ended_by"))?,
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
        let count: u64 = fields.value(ResultColumn(2, "count"))?;
        tally.attempts = tally.attempts.saturating_sub(count);
        if fields.value::<bool>(ResultColumn(1, "crash"))? {
            tally.crashes = tally.crashes.saturating_sub(count);
            let cause: Cause = fields.parsed(ResultColumn(0, "cause"))?;
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
    RowReader::new(row, row.get(0)?).run_end(ResultColumn(1, "ended_by"))
}

/// Whether a boot ended with a clean shutdown.
pub(crate) fn ended_cleanly(connection: &Connection, boot: BootId) -> Result<bool, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM boots WHERE id = ?1")?;
    Ok(statement.query_row([boot.to_string()], |_| Ok(())).optional()?.is_some())
}

/// Runs several queries on one snapshot of the database.
pub(crate) fn in_snapshot<T, E: From<DatabaseError>>(
    connection: &Connection,
    query: impl FnOnce(&Connection) -> Result<T, E>,
) -> Result<T, E> {
    let snapshot = connection.unchecked_transaction().map_err(DatabaseError::from)?;
    let result = query(&snapshot)?;
    snapshot.finish().map_err(DatabaseError::from)?;
    Ok(result)
}
