//! Changes to the queue; every function runs inside its caller's transaction.

use bij_core::port::Change;
use bij_core::queue::{Claim, Group, Happening, Pause, Place, QueueState, Terms};
use bij_core::{Outcome, RunEnd, RunId, Timestamp};
use rusqlite::{ToSql, Transaction, params};

use super::write::{bytes, clocks_word, dependencies, execute, tell};
use super::{read, row};
use crate::failure::Failure;
use crate::row::Cursor;

/// Makes a change.
pub(crate) fn change(
    within: &Transaction<'_>,
    change: &Change,
    at: Timestamp,
) -> Result<Outcome, Failure> {
    match change {
        Change::State { run, from, state, why } => {
            set_state(within, run, from.as_ref(), state, why, at)
        }
        Change::Edit { run, terms, by } => {
            let told = Happening::edited(run, by);
            told_if(edit(within, run, terms)?, within, Some(&told), at)
        }
        Change::Move { run, place, by } => {
            let told = by.as_ref().map(|by| Happening::moved(run, by));
            told_if(move_to(within, run, *place)?, within, told.as_ref(), at)
        }
        Change::Bypassed { run, times } => {
            let set = "bypassed = ?3 WHERE bypassed <> ?3";
            told_if(update(within, run, set, &[times])?, within, None, at)
        }
        Change::Stop { run, by } => {
            let told = Happening::stop_requested(run, by);
            let set = "stopper = ?3 WHERE stopper IS NULL AND state = 'running'";
            told_if(update(within, run, set, &[by])?, within, Some(&told), at)
        }
        // The trigger tells it, as it does every end of a run.
        Change::End { run, end, by } => end_run(within, run, *end, Some(by), at),
        Change::SetGroup { group, by } => set_group(within, group, by, at),
        Change::RemoveGroup { name, by } => {
            let removed =
                execute(within, "DELETE FROM run_groups WHERE name = ?1", [name.as_str()])?;
            let told = Happening::group_removed(name, by);
            told_if(removed, within, Some(&told), at)
        }
        Change::Pause { pause, by } => {
            let told = Happening::paused(pause.as_ref(), by);
            told_if(set_pause(within, pause.as_ref())?, within, Some(&told), at)
        }
        Change::Note { kind, run, data } => {
            let said = Happening::new(*kind, run.as_ref());
            told_if(true, within, Some(&Happening { data: data.clone(), ..said }), at)
        }
    }
}

fn set_state(
    within: &Transaction<'_>,
    run: &RunId,
    expected: Option<&QueueState>,
    to: &QueueState,
    why: &str,
    at: Timestamp,
) -> Result<Outcome, Failure> {
    let mut statement = within.prepare_cached(
        "SELECT q.run, q.state, q.holder, q.boot FROM queue q JOIN runs r ON r.id = q.run
         WHERE r.experiment = (SELECT id FROM experiments WHERE name = ?1) AND r.number = ?2",
    )?;
    let mut rows = statement.query(params![run.experiment.as_str(), run.number.0])?;
    let Some(found) = rows.next()? else { return Ok(Outcome::Unchanged) };
    let from = row::state(&Cursor::new(found, found.get(0)?), 1)?;
    let (state, holder, boot) = row::state_columns(to);
    let set = "state = ?3, holder = ?4, boot = ?5, stopper = NULL";
    let is_expected = expected.is_none_or(|expected| from == *expected);
    let changed =
        is_expected && from != *to && update(within, run, set, &[&state, &holder, &boot])?;
    told_if(changed, within, Some(&Happening::moved_on(run, &from, to, why)), at)
}

fn edit(within: &Transaction<'_>, run: &RunId, terms: &Terms) -> Result<bool, Failure> {
    let Terms { priority, group, claim, not_before, after, now, power, clocks } = terms;
    let Claim { memory, gpu } = claim;
    let (at, delay, delay_boot, due) = row::not_before_columns(*not_before);
    update(
        within,
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

fn move_to(within: &Transaction<'_>, run: &RunId, place: Place) -> Result<bool, Failure> {
    // Far below the end of all numbers, so that there is always a place behind.
    const LAST: i64 = i64::MAX / 2;
    let moved = update(within, run, "place = ?3 WHERE place <> ?3", &[&place.0])?;
    if moved {
        let Place(last) = read::last_place(within)?;
        let more = place.0.min(LAST).saturating_sub(last);
        if more > 0 {
            execute(within, "UPDATE admission SET shift = shift + ?1", [more])?;
        }
    }
    Ok(moved)
}

/// Ends a run that is not over; takes it out of the queue, and leaves an event, by trigger.
pub(crate) fn end_run(
    within: &Transaction<'_>,
    run: &RunId,
    end: RunEnd,
    by: Option<&str>,
    at: Timestamp,
) -> Result<Outcome, Failure> {
    let ended = execute(
        within,
        "UPDATE runs SET ended_by = ?3, ended = ?4, ender = ?5
         WHERE number = ?2 AND ended_by IS NULL
             AND experiment = (SELECT id FROM experiments WHERE name = ?1)",
        params![run.experiment.as_str(), run.number.0, end.as_str(), at.as_micros(), by],
    )?;
    Ok(if ended { Outcome::Changed } else { Outcome::Unchanged })
}

fn set_group(
    within: &Transaction<'_>,
    group: &Group,
    by: &str,
    at: Timestamp,
) -> Result<Outcome, Failure> {
    let before = read::group(within, &group.name)?;
    let Group { name, slots, paused } = group;
    let changed = before.as_ref() != Some(group)
        && execute(
            within,
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
    let told = Happening::group_set(before.as_ref(), group, by);
    told_if(changed, within, Some(&told), at)
}

fn set_pause(within: &Transaction<'_>, pause: Option<&Pause>) -> Result<bool, Failure> {
    execute(
        within,
        "UPDATE admission SET paused_by = ?1, paused_since = ?2
         WHERE (paused_by IS NULL) <> (?1 IS NULL)",
        params![pause.map(|pause| &pause.by), pause.map(|pause| pause.since.as_micros())],
    )
}

/// Changes the queue's row of a run, whose experiment and number are `?1` and `?2`; says whether
/// it did. `set` may end in a condition.
fn update(
    within: &Transaction<'_>,
    run: &RunId,
    set: &'static str,
    values: &[&dyn ToSql],
) -> Result<bool, Failure> {
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
    execute(within, &sql, all.as_slice())
}

/// Writes down what has changed, if it has.
fn told_if(
    changed: bool,
    within: &Transaction<'_>,
    happening: Option<&Happening>,
    at: Timestamp,
) -> Result<Outcome, Failure> {
    if !changed {
        return Ok(Outcome::Unchanged);
    }
    if let Some(happening) = happening {
        tell(within, happening, at)?;
    }
    Ok(Outcome::Changed)
}
