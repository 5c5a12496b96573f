//! Moves runs to other queue positions.

use std::collections::BTreeSet;

use bij_core::RunId;
use bij_core::port::Change;
use bij_core::queue::{QueuePosition, QueuedRun};
use bij_core::request::MoveTo;

use crate::RequestError;
use crate::policy::State;

/// Returns the changes that move runs, in the order in which they are named.
pub(super) fn move_runs(
    state: &State,
    runs: &[&QueuedRun],
    to: &MoveTo,
    by: &str,
) -> Result<Vec<Change>, RequestError> {
    Ok(match to {
        MoveTo::First => move_to_front(state, runs, Some(by)),
        MoveTo::Last => {
            let last = state.runs.values().map(|run| run.position.0).max().unwrap_or(0);
            assign_positions(runs, (1..).map(|at| QueuePosition(last.saturating_add(at))), Some(by))
        }
        MoveTo::Before(other) => beside(state, runs, other, 0, by)?,
        MoveTo::Behind(other) => beside(state, runs, other, 1, by)?,
    })
}

/// Returns the changes that move runs before all others.
pub(super) fn move_to_front(state: &State, runs: &[&QueuedRun], by: Option<&str>) -> Vec<Change> {
    assign_positions(runs, state.positions_before_all(runs.len()), by)
}

fn assign_positions(
    runs: &[&QueuedRun],
    positions: impl Iterator<Item = QueuePosition>,
    by: Option<&str>,
) -> Vec<Change> {
    let moved = runs.iter().zip(positions);
    moved.map(|(run, position)| move_to(run, position, by)).collect()
}

fn move_to(run: &QueuedRun, position: QueuePosition, by: Option<&str>) -> Change {
    Change::Move { run: run.run.clone(), position, by: by.map(ToOwned::to_owned) }
}

/// Returns the changes that move runs directly before (`offset` 0) or behind (1) another run, whose priority
/// they get. Positions seldom have a gap, so the runs in between move on as far as needed.
fn beside(
    state: &State,
    runs: &[&QueuedRun],
    other: &RunId,
    offset: usize,
    by: &str,
) -> Result<Vec<Change>, RequestError> {
    let named: BTreeSet<&RunId> = runs.iter().map(|run| &run.run).collect();
    let is_named = |run: &QueuedRun| named.contains(&run.run);
    let order = state.in_order();
    let target = order.iter().find(|run| run.run == *other && !is_named(run));
    let Some(priority) = target.map(|target| target.terms.priority) else {
        let run = runs.first().map_or_else(|| other.clone(), |run| run.run.clone());
        return Err(RequestError::NoPosition { run, other: other.clone() });
    };
    let mut line: Vec<&QueuedRun> =
        order.into_iter().filter(|run| run.terms.priority == priority && !is_named(run)).collect();
    let at = line.iter().position(|run| run.run == *other).map_or(0, |at| at + offset);
    let mut positions: Vec<i64> = line.iter().chain(runs).map(|run| run.position.0).collect();
    positions.sort_unstable();
    line.splice(at..at, runs.iter().copied());
    let mut changes = Vec::new();
    let mut next = i64::MIN;
    for (run, position) in line.into_iter().zip(positions) {
        let position = position.max(next);
        next = position.saturating_add(1);
        if is_named(run) && run.terms.priority != priority {
            let mut terms = run.terms.clone();
            terms.priority = priority;
            let (run, by) = (run.run.clone(), by.to_owned());
            changes.push(Change::Edit { run, terms: Box::new(terms), by });
        }
        if run.position != QueuePosition(position) {
            changes.push(move_to(run, QueuePosition(position), is_named(run).then_some(by)));
        }
    }
    Ok(changes)
}
