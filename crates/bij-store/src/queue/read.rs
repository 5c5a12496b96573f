//! Queries on the queue.

use bij_core::queue::{
    Event, Group, GroupName, Pause, Queue, QueuePosition, QueueState, QueuedRun, RunRef,
};
use bij_core::{
    BootId, ExperimentId, NewestRun, RunCandidates, RunNumber, RunState, Runs, Tally, Timestamp,
};
use rusqlite::{Connection, Params, Row, params};

use super::row;
use crate::database_error::DatabaseError;
use crate::row::{ResultColumn, RowReader};

/// Returns the open runs, the groups and the pause.
pub(crate) fn load(connection: &Connection) -> Result<Queue, DatabaseError> {
    let paused = pause(connection)?;
    Ok(Queue { runs: queued(connection, "", [])?, groups: groups(connection)?, paused })
}

/// Returns the pause of the admission of all runs.
pub(crate) fn pause(connection: &Connection) -> Result<Option<Pause>, DatabaseError> {
    let sql = "SELECT paused_by, paused_since FROM admission";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    match rows.next()? {
        Some(found) => row::pause(&RowReader::new(found, 1), 0),
        None => Ok(None),
    }
}

/// The query of all queued runs for [`row::queued_run`], in the order of their submission.
pub(crate) fn queued_in_order() -> String {
    let columns = row::QUEUED;
    // A CROSS JOIN keeps the order of the tables: nothing is sorted.
    format!(
        "SELECT {columns} FROM queue q CROSS JOIN runs r ON r.id = q.run
         CROSS JOIN experiments e ON e.id = q.experiment ORDER BY q.run"
    )
}

/// The query of all events for [`row::event`], in their order.
pub(crate) fn events_in_order() -> String {
    format!("SELECT {} FROM events ORDER BY seq", row::EVENT)
}

/// Returns all runs of an experiment.
pub(crate) fn runs(
    connection: &Connection,
    experiment: &ExperimentId,
) -> Result<Runs, DatabaseError> {
    let of_experiment = "WHERE e.name = ?1";
    let mut runs = Runs {
        queued: queued(connection, of_experiment, [experiment.as_str()])?,
        ..Runs::default()
    };
    let mut statement = connection.prepare_cached(
        "SELECT r.id, r.number, r.ended_by FROM runs r JOIN experiments e ON e.id = r.experiment
         WHERE e.name = ?1 AND r.ended_by IS NOT NULL",
    )?;
    let mut rows = statement.query([experiment.as_str()])?;
    while let Some(found) = rows.next()? {
        let fields = RowReader::new(found, found.get(0)?);
        let number = RunNumber(fields.value(ResultColumn(1, "number"))?);
        runs.ended.extend(fields.run_end(ResultColumn(2, "ended_by"))?.map(|end| (number, end)));
    }
    Ok(runs)
}

fn queued(
    connection: &Connection,
    condition: &str,
    params: impl Params,
) -> Result<Vec<QueuedRun>, DatabaseError> {
    let columns = row::QUEUED;
    let sql = format!(
        "SELECT {columns} FROM queue q
         JOIN runs r ON r.id = q.run JOIN experiments e ON e.id = q.experiment {condition}"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params)?;
    let mut queued = Vec::new();
    while let Some(found) = rows.next()? {
        queued.push(row::queued_run(found)?);
    }
    Ok(queued)
}

/// Returns all groups, in the order of their names.
pub(crate) fn groups(connection: &Connection) -> Result<Vec<Group>, DatabaseError> {
    let columns = row::GROUP;
    let mut statement =
        connection.prepare_cached(&format!("SELECT {columns} FROM run_groups ORDER BY name"))?;
    let mut rows = statement.query([])?;
    let mut groups = Vec::new();
    while let Some(found) = rows.next()? {
        groups.push(row::group(found)?);
    }
    Ok(groups)
}

/// Returns a group; `None` if it was never set up.
pub(crate) fn group(
    connection: &Connection,
    name: &GroupName,
) -> Result<Option<Group>, DatabaseError> {
    let columns = row::GROUP;
    let sql = format!("SELECT {columns} FROM run_groups WHERE name = ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([name.as_str()])?;
    rows.next()?.map(row::group).transpose()
}

/// Returns the queue position that the newest run got when it was submitted; the next run comes after it.
pub(crate) fn last_position(connection: &Connection) -> Result<QueuePosition, DatabaseError> {
    let sql = "SELECT coalesce((SELECT max(id) FROM runs), 0) + shift FROM admission";
    Ok(QueuePosition(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?))
}

/// Returns the position of a queued run, by its row, and when it was submitted.
pub(crate) fn position_and_submitted(
    connection: &Connection,
    row: i64,
) -> Result<(QueuePosition, Timestamp), DatabaseError> {
    let sql = "SELECT place, submitted FROM queue WHERE run = ?1";
    let read =
        |row: &Row<'_>| Ok((QueuePosition(row.get(0)?), Timestamp::from_micros(row.get(1)?)));
    Ok(connection.prepare_cached(sql)?.query_row([row], read)?)
}

/// Returns the facts about an experiment that decide which run a start continues.
pub(crate) fn standing(
    connection: &Connection,
    experiment: &ExperimentId,
    tally: &Tally,
) -> Result<RunCandidates, DatabaseError> {
    let mut standing =
        RunCandidates { starting: starting(connection, experiment)?, ..RunCandidates::default() };
    let mut statement = connection.prepare_cached(STANDING)?;
    let mut rows = statement.query([experiment.as_str()])?;
    let Some(found) = rows.next()? else { return Ok(standing) };
    let fields = RowReader::new(found, found.get(0)?);
    standing.highest = fields.value::<Option<u32>>(ResultColumn(1, "number"))?.map(RunNumber);
    standing.waiting = fields.value::<Option<u32>>(ResultColumn(2, "waiting"))?.map(RunNumber);
    let state: Option<String> = fields.value(ResultColumn(3, "state"))?;
    standing.newest = tally.last.as_ref().zip(state).map(|(last, state)| NewestRun {
        number: last.run.number,
        boot: last.key.boot,
        interrupted: last.was_interrupted(),
        running: state == QueueState::Running.as_str(),
    });
    Ok(standing)
}

/// Three facts about one experiment, each with one lookup in an index.
pub(super) const STANDING: &str = "SELECT e.id,
    (SELECT max(number) FROM runs WHERE experiment = e.id),
    (SELECT number FROM runs WHERE id = (
        SELECT run FROM queue WHERE experiment = e.id AND state = 'waiting'
        ORDER BY priority DESC, place, run LIMIT 1
    )),
    (SELECT state FROM queue WHERE run = (SELECT run FROM attempts WHERE id = e.newest))
    FROM experiments e WHERE e.name = ?1";

/// The few runs of an experiment in state `starting`.
pub(super) const STARTING: &str = "SELECT q.run, q.state, q.holder, q.boot, r.number
    FROM queue q JOIN runs r ON r.id = q.run
    WHERE q.experiment = (SELECT id FROM experiments WHERE name = ?1) AND q.state = 'starting'
    ORDER BY q.priority DESC, q.place, q.run";

fn starting(
    connection: &Connection,
    experiment: &ExperimentId,
) -> Result<Vec<(RunNumber, BootId)>, DatabaseError> {
    let mut statement = connection.prepare_cached(STARTING)?;
    let mut rows = statement.query([experiment.as_str()])?;
    let mut starting = Vec::new();
    while let Some(found) = rows.next()? {
        let fields = RowReader::new(found, found.get(0)?);
        if let QueueState::Starting { boot } = row::state(&fields, 1)? {
            starting.push((RunNumber(fields.value(ResultColumn(4, "number"))?), boot));
        }
    }
    Ok(starting)
}

/// Returns whether a run is open or how it ended; `None` if there is no such run.
pub(crate) fn run_state(
    connection: &Connection,
    run: &RunRef,
) -> Result<Option<RunState>, DatabaseError> {
    let number = match run {
        RunRef::Newest(_) => None,
        RunRef::Run(run) => Some(run.number.0),
    };
    let mut statement = connection.prepare_cached(
        "SELECT r.id, r.ended_by FROM runs r JOIN experiments e ON e.id = r.experiment
         WHERE e.name = ?1 AND r.number = coalesce(
             ?2, (SELECT max(number) FROM runs WHERE experiment = e.id)
         )",
    )?;
    let mut rows = statement.query(params![run.experiment().as_str(), number])?;
    let Some(found) = rows.next()? else { return Ok(None) };
    let end = RowReader::new(found, found.get(0)?).run_end(ResultColumn(1, "ended_by"))?;
    Ok(Some(end.map_or(RunState::Open, RunState::Ended)))
}

/// Returns up to `at_most` events after number `after`, oldest first.
pub(crate) fn events(
    connection: &Connection,
    after: u64,
    at_most: usize,
) -> Result<Vec<Event>, DatabaseError> {
    let columns = row::EVENT;
    let sql = format!("SELECT {columns} FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let at_most = i64::try_from(at_most).unwrap_or(i64::MAX);
    let mut rows = statement.query([after, at_most])?;
    let mut events = Vec::new();
    while let Some(found) = rows.next()? {
        events.push(row::event(found)?);
    }
    Ok(events)
}
