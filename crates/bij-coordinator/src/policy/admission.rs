//! Decides about starts that were requested elsewhere: by `systemctl start`, the boot, `Restart=`.

use bij_core::RunNumber;
use bij_core::port::Change;
use bij_core::queue::{
    ClosedGate, Dependency, Origin, QueuePosition, QueueState, QueuedRun, Submission, Terms,
    WaitingOn,
};
use bij_core::request::{Admission, WaitReason};
use bij_core::spec::ExperimentSpec;

use super::{Observation, State, UntrackedUnit, closed_gates, requeue_first, thermal_gate};
use crate::StartRequest;

/// What a start that was requested elsewhere is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StartCase {
    /// The service manager restarts a run that is up while it is too hot for it; these changes requeue it.
    TooHot {
        /// Newest run of the experiment.
        run: Option<RunNumber>,
        /// Changes that requeue the run that is up.
        requeue: Vec<Change>,
        /// Reason, as a sentence without a full stop.
        text: String,
    },
    /// It starts or restarts a run that is up.
    Restart {
        /// The run.
        run: QueuedRun,
        /// A stop of the unit was requested, so it must not start.
        is_to_be_stopped: bool,
    },
    /// The first of the experiment's queued runs is judged.
    Queued(QueuedRun),
    /// The experiment has no queued run.
    New,
}

/// Returns what a start of this experiment is about.
pub(crate) fn start_case(
    state: &State,
    seen: &Observation,
    experiment: &bij_core::ExperimentId,
) -> StartCase {
    if let Some(up) = state.up_of(experiment) {
        if let Some(gate) = thermal_gate(up, state, seen) {
            let text = gate.to_string();
            return StartCase::TooHot {
                run: state.runs_of(experiment).next_back().map(|run| run.run.number),
                requeue: requeue_first(state, &[up], &text),
                text,
            };
        }
        let is_to_be_stopped = state.stops.contains_key(experiment) || up.stop.is_some();
        return StartCase::Restart { run: up.clone(), is_to_be_stopped };
    }
    let is_held = |run: &QueuedRun| matches!(run.state, QueueState::Held { .. });
    let first = state
        .runs_of(experiment)
        .min_by(|a, b| is_held(a).cmp(&is_held(b)).then_with(|| a.order().cmp(&b.order())));
    first.map_or(StartCase::New, |run| StartCase::Queued(run.clone()))
}

/// Returns the submission for a start of an experiment that has no queued run.
///
/// # Errors
/// The verdict, if nothing is to be queued.
pub(crate) fn submission(
    state: &State,
    seen: &Observation,
    admission: &StartRequest,
    spec: &ExperimentSpec,
    terms: Terms,
    has_succeeded: bool,
) -> Result<Submission, Admission> {
    let StartRequest { experiment, at_boot, by, invocation: _, extras } = admission;
    if *at_boot && !spec.restart.rerun_at_boot && has_succeeded {
        let text = format!(
            "the last run of {experiment} has succeeded; it runs again at boot with [restart] \
             rerun_at_boot"
        );
        return Err(Admission::refused(None, text));
    }
    if let Err(error) = state.check_admissible(experiment, &terms, seen) {
        let remedy = error.remedy().map(|remedy| format!("; {remedy}")).unwrap_or_default();
        return Err(Admission::refused(None, format!("{error}{remedy}")));
    }
    Ok(Submission {
        experiment: experiment.clone(),
        terms,
        held: None,
        extras: extras.clone(),
        by: by.clone(),
        origin: Origin::Start,
    })
}

/// Returns a run that could not be recorded, behind all others.
pub(crate) fn unrecorded_run(submission: &Submission, seen: &Observation) -> QueuedRun {
    QueuedRun::submitted(submission, RunNumber(u32::MAX), QueuePosition(i64::MAX), seen.now.at)
}

/// Returns the gates that keep a run from starting in its turn, each with the time since when, as far as the last
/// report knows. If the store cannot tell about its dependencies, none of them is known to be met.
pub(crate) fn closed_to(
    run: &QueuedRun,
    state: &State,
    seen: &Observation,
    are_dependencies_known: bool,
) -> Vec<WaitingOn> {
    let unknown = |on: &Dependency| ClosedGate::Dependency { on: on.clone(), ended: None };
    let unknown: Vec<ClosedGate> = if are_dependencies_known {
        Vec::new()
    } else {
        run.terms.after.iter().map(unknown).collect()
    };
    let before = state.last.as_ref().and_then(|last| last.waiting.get(&run.run));
    let since = |gate: &ClosedGate| {
        let same = before.and_then(|list| list.iter().find(|it| it.gate.name() == gate.name()));
        same.map_or(seen.now.at, |waiting| waiting.since)
    };
    let closed = unknown.into_iter().chain(closed_gates(state, seen, run));
    closed.map(|gate| WaitingOn { since: since(&gate), gate }).collect()
}

/// Returns the change that admits a run. It counts from then on, whether it is recorded or not.
pub(crate) fn admit(run: &QueuedRun, state: &State, by: &str) -> Change {
    Change::State {
        run: run.run.clone(),
        from: Some(run.state.clone()),
        state: QueueState::Starting { boot: state.boot },
        why: format!("asked for by {by}"),
    }
}

/// Returns the unit of a run that starts although it could not be recorded.
pub(crate) fn untracked(run: &QueuedRun) -> UntrackedUnit {
    UntrackedUnit {
        run: run.run.clone(),
        group: run.terms.group.clone(),
        claim: run.terms.claim,
        unwanted: false,
    }
}

/// Returns the answer to a start whose gates are closed.
pub(crate) fn waits(run: Option<RunNumber>, waiting_on: &[WaitingOn]) -> Admission {
    let gates: Vec<String> = waiting_on.iter().map(|it| it.gate.to_string()).collect();
    let waiting_on = waiting_on.iter().map(WaitReason::from).collect();
    Admission { waiting_on, ..Admission::refused(run, gates.join("; ")) }
}
