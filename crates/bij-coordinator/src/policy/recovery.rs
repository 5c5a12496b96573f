//! Recovers from interruptions: requeues runs that a reboot or the end of a user's service manager has interrupted,
//! closes attempts whose end is not recorded, because the `end` hook was killed or could not run, and corrects what the
//! store says of queued runs.

use std::borrow::Cow;

use bij_core::port::Change;
use bij_core::queue::{NotBefore, Origin, QueueState, QueuedRun, Terms};
use bij_core::spec::OnReboot;
use bij_core::{Attempt, Cause, ExperimentId, RunEnd};

use super::{Action, Interruption, Observation, State};

/// Holder of a run whose definition says `on_reboot = "hold"`.
const HOLDER: &str = "on_reboot";

/// Returns the state with all interrupted runs back in the queue, and the actions that put them there.
pub(super) fn recover(state: &State) -> (Cow<'_, State>, Vec<Action>) {
    if state.interrupted.is_empty() {
        return (Cow::Borrowed(state), Vec::new());
    }
    let changes = requeue_interrupted(state);
    let mut recovered = state.clone();
    for change in &changes {
        recovered.apply(change);
    }
    (Cow::Owned(recovered), changes.into_iter().map(Action::Change).collect())
}

/// Returns the changes that put runs of another boot where their definition wants them. Resumed runs go
/// before all others of their priority, in their old order. A run whose stop was requested ends as
/// stopped.
pub fn requeue_interrupted(state: &State) -> Vec<Change> {
    let mut interrupted: Vec<(&QueuedRun, Interruption)> = state
        .interrupted
        .iter()
        .filter_map(|(run, how)| Some((state.runs.get(run)?, *how)))
        .collect();
    interrupted.sort_by(|(a, _), (b, _)| a.order().cmp(&b.order()));
    let (stopped, interrupted): (Vec<_>, Vec<_>) =
        interrupted.into_iter().partition(|(run, _)| run.stop.is_some());
    let mut changes: Vec<Change> = stopped.into_iter().filter_map(|(run, _)| end(run)).collect();
    let resumed = interrupted.iter().filter(|(_, how)| is_resumed(*how)).count();
    let mut positions = state.positions_before_all(resumed);
    for (run, how) in interrupted {
        let (target, why) = target(how);
        changes.push(Change::State {
            run: run.run.clone(),
            from: Some(run.state.clone()),
            state: target,
            why: why.to_owned(),
        });
        if is_resumed(how)
            && let Some(position) = positions.next()
        {
            changes.push(Change::Move { run: run.run.clone(), position, by: None });
        }
    }
    changes
}

/// Returns the end of a run whose stop was requested.
fn end(run: &QueuedRun) -> Option<Change> {
    let by = run.stop.clone()?;
    Some(Change::End { run: run.run.clone(), end: RunEnd::Stopped, by })
}

fn is_resumed(how: Interruption) -> bool {
    matches!(how, Interruption::Running { on_reboot: Some(OnReboot::Resume), .. })
}

fn target(how: Interruption) -> (QueueState, &'static str) {
    let held = || QueueState::Held { by: HOLDER.to_owned() };
    match how {
        Interruption::BeforeItBegan => {
            (QueueState::Waiting, "the machine went down before it had begun")
        }
        Interruption::Running { on_reboot: None, .. } => {
            (held(), "it was interrupted, and there is no usable definition any more")
        }
        Interruption::Running { on_reboot: Some(on_reboot), cause } => {
            let state = match on_reboot {
                OnReboot::Resume | OnReboot::Requeue => QueueState::Waiting,
                OnReboot::Hold => held(),
            };
            let why = match cause {
                Cause::Reboot => "the machine was rebooted",
                Cause::ManagerStop => "the user's service manager was stopped",
                _ => "the power was lost",
            };
            (state, why)
        }
    }
}

/// Returns whether an open attempt is unclosed. Attempts of other boots are closed at boot, and an attempt whose
/// unit is up will be closed by its own hook.
pub(crate) fn is_unclosed(attempt: &Attempt, state: &State, seen: &Observation) -> bool {
    attempt.key.boot == state.boot && is_down(&attempt.run.experiment, state, seen)
}

/// Closes the unclosed attempts whose end was found.
pub(super) fn close(state: &State, seen: &Observation) -> Vec<Action> {
    let down = seen.unclosed.iter().filter(|(run, end)| {
        is_down(&run.experiment, state, seen) && !state.has_closed(&run.experiment, &end.key)
    });
    down.map(|(run, end)| Action::Close { run: run.clone(), end: Box::new(end.clone()) }).collect()
}

/// Returns whether an experiment's unit is down, and nothing is under way that changes that.
pub(crate) fn is_down(experiment: &ExperimentId, state: &State, seen: &Observation) -> bool {
    !seen.is_up(experiment)
        && !seen.is_coming_up(experiment)
        && !state.busy.contains_key(experiment)
}

/// Returns the corrections that are due before a decision: delays that were counted in another boot, and the
/// claims of runs that were started without a submission.
pub fn corrections(state: &State, seen: &Observation) -> Vec<Change> {
    let mut edits: Vec<Change> = state
        .runs
        .values()
        .filter(|run| !run.state.is_up())
        .filter_map(|run| carry_delay_over(run, state, seen))
        .collect();
    if seen.unreachable.is_none() {
        edits.extend(claims_of_started_runs(state, seen));
    }
    edits
}

/// Converts a delay that was counted in another boot to the current one.
fn carry_delay_over(run: &QueuedRun, state: &State, seen: &Observation) -> Option<Change> {
    let not_before = match run.terms.not_before? {
        NotBefore::At(_) => return None,
        NotBefore::Delay(delay) => {
            NotBefore::Delay(delay.carried_over(state.boot, seen.now.at, seen.now.uptime)?)
        }
    };
    let terms = Box::new(Terms { not_before: Some(not_before), ..run.terms.clone() });
    Some(Change::Edit { run: run.run.clone(), terms, by: "the new boot".to_owned() })
}

/// Gives each run that was started without a submission the terms of its definition, so that its claim counts.
fn claims_of_started_runs(state: &State, seen: &Observation) -> Vec<Change> {
    let started = state.up().filter(|run| is_without_claim(run));
    let edits = started.filter_map(|run| {
        let terms = seen.definition_terms.get(&run.run).filter(|it| **it != Terms::default())?;
        let (terms, by) = (Box::new(terms.clone()), "its definition".to_owned());
        Some(Change::Edit { run: run.run.clone(), terms, by })
    });
    edits.collect()
}

/// Returns whether a run was started without a submission and has not got the terms of its definition.
pub(crate) fn is_without_claim(run: &QueuedRun) -> bool {
    run.origin == Origin::Start && run.terms == Terms::default()
}
