//! Changes queued runs; every function runs inside its caller's transaction.

use bij_core::port::Change;
use bij_core::queue::{Claim, Group, NewEvent, Pause, QueuePosition, QueueState, Terms};
use bij_core::{Outcome, RunEnd, RunId, Timestamp};
use rusqlite::{ToSql, Transaction, params};

use super::write::{bytes, clocks_word, dependencies, execute, insert_event};
use super::{read, row};
use crate::database_error::DatabaseError;
use crate::row::RowReader;

/// Applies one change and records its event.
pub(crate) fn change(
    transaction: &Transaction<'_>,
    change: &Change,
    at: Timestamp,
) -> Result<Outcome, DatabaseError> {
    match change {
        Change::State { run, from, state, why } => {
            set_state(transaction, run, from.as_ref(), state, why, at)
        }
        Change::Edit { run, terms, by } => {
            let event = NewEvent::edited(run, by);
            record_if_changed(edit(transaction, run, terms)?, transaction, Some(&event), at)
        }
        Change::Move { run, position, by } => {
            let event = by.as_ref().map(|by| NewEvent::moved(run, by));
            record_if_changed(
                move_to(transaction, run, *position)?,
                transaction,
                event.as_ref(),
                at,
            )
        }
        Change::Bypassed { run, times } => {
            let set = "bypassed = ?3 WHERE bypassed <> ?3";
            record_if_changed(update(transaction, run, set, &[times])?, transaction, None, at)
        }
        Change::Stop { run, by } => {
            let event = NewEvent::stop_requested(run, by);
            let set = "stopper = ?3 WHERE stopper IS NULL AND state = 'running'";
            record_if_changed(update(transaction, run, set, &[by])?, transaction, Some(&event), at)
        }
        // A trigger records the event, as for every end of a run.
        Change::End { run, end, by } => end_run(transaction, run, *end, Some(by), Some(at)),
        Change::SetGroup { group, by } => set_group(transaction, group, by, at),
        Change::RemoveGroup { name, by } => {
            let removed =
                execute(transaction, "DELETE FROM run_groups WHERE name = ?1", [name.as_str()])?;
            let event = NewEvent::group_removed(name, by);
            record_if_changed(removed, transaction, Some(&event), at)
        }
        Change::Pause { pause, by } => {
            let event = NewEvent::paused(pause.as_ref(), by);
            record_if_changed(
                set_pause(transaction, pause.as_ref())?,
                transaction,
                Some(&event),
                at,
            )
        }
        Change::Note { kind, run, data } => {
            let event = NewEvent { data: data.clone(), ..NewEvent::new(*kind, run.as_ref()) };
            record_if_changed(true, transaction, Some(&event), at)
        }
    }
}

fn set_state(
    transaction: &Transaction<'_>,
    run: &RunId,
    expected: Option<&QueueState>,
    to: &QueueState,
    why: &str,
    at: Timestamp,
) -> Result<Outcome, DatabaseError> {
    let mut statement = transaction.prepare_cached(
        "SELECT q.run, q.state, q.holder, q.boot FROM queue q JOIN runs r ON r.id = q.run
         WHERE r.experiment = (SELECT id FROM experiments WHERE name = ?1) AND r.number = ?2",
    )?;
    let mut rows = statement.query(params![run.experiment.as_str(), run.number.0])?;
    let Some(found) = rows.next()? else { return Ok(Outcome::Unchanged) };
    let from = row::state(&RowReader::new(found, found.get(0)?), 1)?;
    let (state, holder, boot) = row::state_columns(to);
    let set = "state = ?3, holder = ?4, boot = ?5, stopper = NULL";
    let is_expected = expected.is_none_or(|expected| from == *expected);
    let changed =
        is_expected && from != *to && update(transaction, run, set, &[&state, &holder, &boot])?;
    record_if_changed(changed, transaction, Some(&NewEvent::moved_on(run, &from, to, why)), at)
}

fn edit(transaction: &Transaction<'_>, run: &RunId, terms: &Terms) -> Result<bool, DatabaseError> {
    let Terms { priority, group, claim, not_before, after, now, power, clocks } = terms;
    let Claim { memory, gpu } = claim;
    let (at, delay, delay_boot, due) = row::not_before_columns(*not_before);
    update(
        transaction,
        run,
        "priority = ?3, group_name = ?4, memory = ?5, gpu = ?6, not_before = ?7,
             dependencies = ?8, now = ?9, power = ?10, clocks = ?11, delay = ?12, delay_boot = ?13,
             delay_due = ?14
         WHERE (priority, group_name, memory, gpu, not_before, dependencies, now, power, clocks,
             delay, delay_boot, delay_due)
             IS NOT (?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        &[
            priority,
            &group.as_str(),
            &bytes(*memory),
            &gpu.as_str(),
            &at,
            &dependencies(after),
            now,
            &power.as_ref().map(ToString::to_string),
            &clocks_word(*clocks),
            &delay,
            &delay_boot,
            &due,
        ],
    )
}

/// Moves a run to another position. Later submissions come behind it. Returns `true` if it was elsewhere.
pub(crate) fn move_to(
    transaction: &Transaction<'_>,
    run: &RunId,
    position: QueuePosition,
) -> Result<bool, DatabaseError> {
    // Far below the maximum, so that there is always a position after it.
    const LAST: i64 = i64::MAX / 2;
    let moved = update(transaction, run, "place = ?3 WHERE place <> ?3", &[&position.0])?;
    if moved {
        advance_last_position(transaction, QueuePosition(position.0.min(LAST)))?;
    }
    Ok(moved)
}

/// Makes later submissions come behind a position, if they would not already.
pub(crate) fn advance_last_position(
    transaction: &Transaction<'_>,
    position: QueuePosition,
) -> Result<(), DatabaseError> {
    let QueuePosition(last) = read::last_position(transaction)?;
    let more = position.0.saturating_sub(last);
    if more > 0 {
        execute(transaction, "UPDATE admission SET shift = shift + ?1", [more])?;
    }
    Ok(())
}

/// Ends an open run. Triggers remove it from the queue and record the event. `at` is `None` if the time is not known.
pub(crate) fn end_run(
    transaction: &Transaction<'_>,
    run: &RunId,
    end: RunEnd,
    by: Option<&str>,
    at: Option<Timestamp>,
) -> Result<Outcome, DatabaseError> {
    let ended = execute(
        transaction,
        "UPDATE runs SET ended_by = ?3, ended = ?4, ender = ?5
         WHERE number = ?2 AND ended_by IS NULL
             AND experiment = (SELECT id FROM experiments WHERE name = ?1)",
        params![
            run.experiment.as_str(),
            run.number.0,
            end.as_str(),
            at.map(Timestamp::as_micros),
            by
        ],
    )?;
    Ok(if ended { Outcome::Changed } else { Outcome::Unchanged })
}

fn set_group(
    transaction: &Transaction<'_>,
    group: &Group,
    by: &str,
    at: Timestamp,
) -> Result<Outcome, DatabaseError> {
    let before = read::group(transaction, &group.name)?;
    let Group { name, slots, paused } = group;
    let changed = before.as_ref() != Some(group)
        && execute(
            transaction,
            "INSERT INTO run_groups (name, slots, paused_by, paused_since)
             VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET slots = excluded.slots,
                 paused_by = excluded.paused_by, paused_since = excluded.paused_since",
            params![
                name.as_str(),
                slots,
                paused.as_ref().map(|pause| &pause.by),
                paused.as_ref().map(|pause| pause.since.as_micros()),
            ],
        )?;
    let event = NewEvent::group_set(before.as_ref(), group, by);
    record_if_changed(changed, transaction, Some(&event), at)
}

fn set_pause(transaction: &Transaction<'_>, pause: Option<&Pause>) -> Result<bool, DatabaseError> {
    execute(
        transaction,
        "UPDATE admission SET paused_by = ?1, paused_since = ?2
         WHERE (paused_by IS NULL) <> (?1 IS NULL)",
        params![pause.map(|pause| &pause.by), pause.map(|pause| pause.since.as_micros())],
    )
}

/// Updates the row of a run, whose experiment and number are `?1` and `?2`. Returns `true` if the row has
/// changed. `set` may end in a condition.
fn update(
    transaction: &Transaction<'_>,
    run: &RunId,
    set: &'static str,
    values: &[&dyn ToSql],
) -> Result<bool, DatabaseError> {
    let (set, condition) = set.split_once(" WHERE ").unwrap_or((set, "TRUE"));
    let sql = format!(
        "UPDATE queue SET {set} WHERE {condition} AND run = (
             SELECT id FROM runs WHERE number = ?2
                 AND experiment = (SELECT id FROM experiments WHERE name = ?1)
         )"
    );
    let (name, number) = (run.experiment.as_str(), run.number.0);
    let mut all: Vec<&dyn ToSql> = vec![&name, &number];
    all.extend(values);
    execute(transaction, &sql, all.as_slice())
}

/// Records the event of a change if there was one.
fn record_if_changed(
    changed: bool,
    transaction: &Transaction<'_>,
    event: Option<&NewEvent>,
    at: Timestamp,
) -> Result<Outcome, DatabaseError> {
    if !changed {
        return Ok(Outcome::Unchanged);
    }
    if let Some(event) = event {
        insert_event(transaction, event, at)?;
    }
    Ok(Outcome::Changed)
}
