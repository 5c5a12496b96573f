//! Requests that act on queued runs: hold, release, cancel, requeue, stop, prioritize, move.

use std::collections::BTreeSet;

use bij_core::port::Change;
use bij_core::queue::{QueueState, QueuedRun, RunRef};
use bij_core::request::Act;
use bij_core::{ExperimentId, RunEnd, RunId};

use super::positions::{move_runs, move_to_front};
use super::{Plan, waiting};
use crate::RequestError;
use crate::policy::{Observation, State};

/// Returns the queued runs that a request names, each once.
///
/// # Errors
/// The first reference that names no queued run.
pub(crate) fn named(state: &State, runs: &[RunRef]) -> Result<Vec<QueuedRun>, RunRef> {
    let mut known = BTreeSet::new();
    let mut named = Vec::with_capacity(runs.len());
    for run in runs {
        let run = state.queued(run).ok_or_else(|| run.clone())?;
        if known.insert(&run.run) {
            named.push(run.clone());
        }
    }
    Ok(named)
}

/// Returns what a request changes for all of these runs. `is_unread` returns whether a unit may have changed
/// since it was read.
///
/// # Errors
/// [`RequestError`] if the request is impossible for one of them.
pub(crate) fn act(
    state: &State,
    seen: &Observation,
    is_unread: &dyn Fn(&ExperimentId) -> bool,
    runs: &[QueuedRun],
    act: &Act,
    by: &str,
) -> Result<Plan, RequestError> {
    let to_stop = |run: &QueuedRun| run_to_stop(state, seen, is_unread, run);
    let each = |plan: &dyn Fn(&QueuedRun) -> Result<Plan, RequestError>| {
        let mut whole = Plan::default();
        for run in runs {
            whole.add(plan(run)?);
        }
        Ok(whole)
    };
    match act {
        Act::Hold => each(&|run| hold(state, run, by)),
        Act::Release => each(&|run| Ok(release(run, by))),
        Act::Cancel => each(&|run| {
            let (id, by) = (run.run.clone(), by.to_owned());
            let end = Change::End { run: id, end: RunEnd::Cancelled, by };
            Ok(Plan { stops: to_stop(run)?, ..Plan::change(end) })
        }),
        Act::Stop => each(&|run| {
            let stops = to_stop(run)?;
            let stop = |run: &RunId| Change::Stop { run: run.clone(), by: by.to_owned() };
            Ok(Plan { changes: stops.iter().map(stop).collect(), stops, ..Plan::default() })
        }),
        Act::Prioritize { priority } => each(&|run| prioritize(state, run, *priority, by)),
        Act::Requeue => {
            let mut plan = each(&|run| {
                let back = Plan::state(run, QueueState::Waiting, format!("requeued by {by}"));
                Ok(Plan { stops: to_stop(run)?, retried: vec![run.run.clone()], ..back })
            })?;
            // Before all others of their priority, in their current order.
            let mut ordered: Vec<&QueuedRun> = runs.iter().collect();
            ordered.sort_by(|a, b| a.order().cmp(&b.order()));
            plan.changes.extend(move_to_front(state, &ordered, None));
            Ok(plan)
        }
        Act::Move { to } => {
            let runs: Vec<&QueuedRun> =
                runs.iter().map(|run| waiting(state, run)).collect::<Result<_, _>>()?;
            Ok(Plan { changes: move_runs(state, &runs, to, by)?, ..Plan::default() })
        }
    }
}

fn hold(state: &State, run: &QueuedRun, by: &str) -> Result<Plan, RequestError> {
    if matches!(run.state, QueueState::Held { .. }) {
        return Ok(Plan::default());
    }
    waiting(state, run)?;
    Ok(Plan::state(run, QueueState::Held { by: by.to_owned() }, format!("held by {by}")))
}

fn release(run: &QueuedRun, by: &str) -> Plan {
    let retried = vec![run.run.clone()];
    match &run.state {
        QueueState::Held { .. } => {
            let waits = Plan::state(run, QueueState::Waiting, format!("released by {by}"));
            Plan { retried, ..waits }
        }
        QueueState::Waiting | QueueState::Starting { .. } | QueueState::Running => {
            Plan { retried, ..Plan::default() }
        }
    }
}

fn prioritize(
    state: &State,
    run: &QueuedRun,
    priority: i32,
    by: &str,
) -> Result<Plan, RequestError> {
    let mut terms = waiting(state, run)?.terms.clone();
    terms.priority = priority;
    let (run, by) = (run.run.clone(), by.to_owned());
    Ok(Plan::change(Change::Edit { run, terms: Box::new(terms), by }))
}

/// Returns the run itself if its unit has to be stopped, which happens after the run was changed, so that a stop
/// for a requeue does not end the run. A run that is just starting cannot be taken back: its hook would find no
/// run to begin, and would make a new one.
fn run_to_stop(
    state: &State,
    seen: &Observation,
    is_unread: &dyn Fn(&ExperimentId) -> bool,
    run: &QueuedRun,
) -> Result<Vec<RunId>, RequestError> {
    if !state.is_up(run) {
        return Ok(Vec::new());
    }
    let experiment = &run.run.experiment;
    let is_under_way = state.busy.contains_key(experiment)
        || seen.is_on_its_way(experiment)
        || is_unread(experiment);
    match run.state {
        QueueState::Starting { .. } if is_under_way => {
            Err(RequestError::JustStarting { run: run.run.clone() })
        }
        QueueState::Starting { .. } => Ok(Vec::new()),
        _ => Ok(vec![run.run.clone()]),
    }
}
