//! What the database is asked about the queue.

use bij_core::queue::{Event, Group, GroupName, Place, Queue, QueueState, QueuedRun, RunRef};
use bij_core::{BootId, ExperimentId, NewestRun, RunCandidates, RunNumber, RunState, Runs, Tally};
use rusqlite::{Connection, Params, params};

use super::row;
use crate::failure::Failure;
use crate::row::{Column, Cursor};

/// Everything that is not over.
pub(crate) fn load(connection: &Connection) -> Result<Queue, Failure> {
    let sql = "SELECT paused_by, paused_since FROM admission";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let paused = match rows.next()? {
        Some(found) => row::pause(&Cursor::new(found, 1), 0)?,
        None => None,
    };
    Ok(Queue { runs: queued(connection, "", [])?, groups: groups(connection)?, paused })
}

/// All runs of an experiment.
pub(crate) fn runs(connection: &Connection, experiment: &ExperimentId) -> Result<Runs, Failure> {
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
        let at = Cursor::new(found, found.get(0)?);
        let number = RunNumber(at.value(Column(1, "number"))?);
        runs.ended.extend(at.run_end(Column(2, "ended_by"))?.map(|end| (number, end)));
    }
    Ok(runs)
}

fn queued(
    connection: &Connection,
    condition: &str,
    params: impl Params,
) -> Result<Vec<QueuedRun>, Failure> {
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

fn groups(connection: &Connection) -> Result<Vec<Group>, Failure> {
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

/// A group that is set up.
pub(super) fn group(connection: &Connection, name: &GroupName) -> Result<Option<Group>, Failure> {
    let columns = row::GROUP;
    let sql = format!("SELECT {columns} FROM run_groups WHERE name = ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([name.as_str()])?;
    rows.next()?.map(row::group).transpose()
}

/// The place of what was taken in last, if it was not moved: the next one comes behind it.
pub(crate) fn last_place(connection: &Connection) -> Result<Place, Failure> {
    let sql = "SELECT coalesce((SELECT max(id) FROM runs), 0) + shift FROM admission";
    Ok(Place(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?))
}

/// What a start has to know of an experiment with this tally.
pub(crate) fn standing(
    connection: &Connection,
    experiment: &ExperimentId,
    tally: &Tally,
) -> Result<RunCandidates, Failure> {
    let mut standing =
        RunCandidates { starting: starting(connection, experiment)?, ..RunCandidates::default() };
    let mut statement = connection.prepare_cached(STANDING)?;
    let mut rows = statement.query([experiment.as_str()])?;
    let Some(found) = rows.next()? else { return Ok(standing) };
    let at = Cursor::new(found, found.get(0)?);
    standing.highest = at.value::<Option<u32>>(Column(1, "number"))?.map(RunNumber);
    standing.waiting = at.value::<Option<u32>>(Column(2, "waiting"))?.map(RunNumber);
    let state: Option<String> = at.value(Column(3, "state"))?;
    standing.newest = tally.last.as_ref().zip(state).map(|(last, state)| NewestRun {
        number: last.run.number,
        boot: last.key.boot,
        interrupted: last.was_interrupted(),
        running: state == QueueState::Running.as_str(),
    });
    Ok(standing)
}

/// Three questions about one experiment, each answered by one look into an index.
pub(super) const STANDING: &str = "SELECT e.id,
    (SELECT max(number) FROM runs WHERE experiment = e.id),
    (SELECT number FROM runs WHERE id = (
        SELECT run FROM queue WHERE experiment = e.id AND state = 'waiting'
        ORDER BY priority DESC, place, run LIMIT 1
    )),
    (SELECT state FROM queue WHERE run = (SELECT run FROM attempts WHERE id = e.newest))
    FROM experiments e WHERE e.name = ?1";

/// The few runs of an experiment that were let start.
pub(super) const STARTING: &str = "SELECT q.run, q.state, q.holder, q.boot, r.number
    FROM queue q JOIN runs r ON r.id = q.run
    WHERE q.experiment = (SELECT id FROM experiments WHERE name = ?1) AND q.state = 'starting'
    ORDER BY q.priority DESC, q.place, q.run";

fn starting(
    connection: &Connection,
    experiment: &ExperimentId,
) -> Result<Vec<(RunNumber, BootId)>, Failure> {
    let mut statement = connection.prepare_cached(STARTING)?;
    let mut rows = statement.query([experiment.as_str()])?;
    let mut starting = Vec::new();
    while let Some(found) = rows.next()? {
        let at = Cursor::new(found, found.get(0)?);
        if let QueueState::Starting { boot } = row::state(&at, 1)? {
            starting.push((RunNumber(at.value(Column(4, "number"))?), boot));
        }
    }
    Ok(starting)
}

/// Where a run is.
pub(crate) fn run_state(
    connection: &Connection,
    run: &RunRef,
) -> Result<Option<RunState>, Failure> {
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
    let end = Cursor::new(found, found.get(0)?).run_end(Column(1, "ended_by"))?;
    Ok(Some(end.map_or(RunState::Open, RunState::Ended)))
}

/// The events after one, oldest first, at most so many.
pub(crate) fn events(
    connection: &Connection,
    after: u64,
    at_most: usize,
) -> Result<Vec<Event>, Failure> {
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
