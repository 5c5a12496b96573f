//! Verbs that change the units of experiments, all at once: `bij stop`, `stop-all`, `restart`, `enable`, `disable` and
//! `reset`. `bij start` applies its action in the same way.

use std::sync::Arc;

use bij_core::port::{DefinitionSource as _, Started, UnitError, UnitManager as _};
use bij_core::{ActiveState, ExperimentId, Outcome};
use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use tokio::task::JoinSet;

use super::check::must_be_runnable;
use crate::args::{IdArg, MaybeIdsArgs};
use crate::context::Context;
use crate::error::{CliError, Kind};
use crate::units::{ScopeUnits, record_stop};
use crate::view::{Effect, UnitOutcome, UnitOutcomes, WaitingRun};
use crate::{complete, facts};

/// The arguments of verbs that take at least one experiment.
#[derive(Debug, Args)]
pub(crate) struct IdsArgs {
    /// Experiments
    #[arg(value_name = "ID", required = true, add = ArgValueCandidates::new(complete::ids))]
    pub(super) ids: Vec<IdArg>,
}

/// The arguments of `bij enable` and `bij disable`.
#[derive(Debug, Args)]
pub(crate) struct EnableArgs {
    /// Experiments
    #[arg(value_name = "ID", required = true, add = ArgValueCandidates::new(complete::ids))]
    ids: Vec<IdArg>,
    /// Start or stop them now as well
    #[arg(long)]
    now: bool,
}

/// Stops experiments in good order.
pub(super) async fn stop(context: &Context, args: &IdsArgs) -> Result<(), CliError> {
    let ids = existing_ids(context, &args.ids).await?;
    apply(context, UnitAction::Stop, &ids).await
}

/// Stops every experiment that is up.
pub(super) async fn stop_all(context: &Context) -> Result<(), CliError> {
    let units = context.units().await?.list().await?;
    let up = units.into_iter().filter(|unit| !unit.active_state.is_down());
    let ids: Vec<ExperimentId> = up.map(|unit| unit.id).collect();
    if ids.is_empty() {
        context.terminal.status("No experiment is up.");
    }
    apply(context, UnitAction::Stop, &ids).await
}

/// Stops experiments and starts them again.
pub(super) async fn restart(context: &Context, args: &IdsArgs) -> Result<(), CliError> {
    let ids = runnable_ids(context, &args.ids)?;
    context.warn_about_lingering();
    apply(context, UnitAction::Restart, &ids).await
}

/// Enables experiments, so that they start at boot.
pub(super) async fn enable(context: &Context, args: &EnableArgs) -> Result<(), CliError> {
    let ids = runnable_ids(context, &args.ids)?;
    context.warn_about_lingering();
    apply(context, UnitAction::Enable, &ids).await?;
    if args.now { apply(context, UnitAction::Start, &ids).await } else { Ok(()) }
}

/// Disables experiments, so that they no longer start at boot.
pub(super) async fn disable(context: &Context, args: &EnableArgs) -> Result<(), CliError> {
    let ids = existing_ids(context, &args.ids).await?;
    apply(context, UnitAction::Disable, &ids).await?;
    if args.now { apply(context, UnitAction::Stop, &ids).await } else { Ok(()) }
}

/// Resets the given experiments, or all that have failed. The ledger's counters stay.
pub(super) async fn reset(context: &Context, args: &MaybeIdsArgs) -> Result<(), CliError> {
    let ids: Vec<ExperimentId> = if args.ids.is_empty() {
        let units = context.units().await?.list().await?;
        let failed = units.into_iter().filter(|unit| unit.active_state == ActiveState::Failed);
        failed.map(|unit| unit.id).collect()
    } else {
        existing_ids(context, &args.ids).await?
    };
    if ids.is_empty() {
        context.terminal.status("No experiment has failed.");
    }
    apply(context, UnitAction::Reset, &ids).await
}

/// Returns the ids if each exists: defined, with a history, or loaded by the manager.
async fn existing_ids(context: &Context, ids: &[IdArg]) -> Result<Vec<ExperimentId>, CliError> {
    for IdArg(id) in ids {
        context.must_exist(id).await?;
    }
    Ok(to_ids(ids))
}

/// Returns the ids if each experiment can run, so that no action begins that is certain to fail.
fn runnable_ids(context: &Context, ids: &[IdArg]) -> Result<Vec<ExperimentId>, CliError> {
    for IdArg(id) in ids {
        must_be_runnable(context, &context.definitions().find(id)?)?;
    }
    Ok(to_ids(ids))
}

fn to_ids(ids: &[IdArg]) -> Vec<ExperimentId> {
    ids.iter().map(|IdArg(id)| id.clone()).collect()
}

/// An action on the unit of an experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnitAction {
    Start,
    Stop,
    Restart,
    Enable,
    Disable,
    Reset,
}

impl UnitAction {
    const fn verb(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Enable => "enable",
            Self::Disable => "disable",
            Self::Reset => "reset",
        }
    }

    /// Returns the status text for an effect.
    const fn describe(self, effect: Effect) -> &'static str {
        match (self, effect) {
            (_, Effect::Failed) => "failed",
            (_, Effect::Skipped) => "not started: a condition of its unit is not met, see its log",
            (Self::Start | Self::Restart, Effect::Unchanged) => "already up",
            (Self::Start, Effect::Changed) => "started",
            (Self::Restart, Effect::Changed) => "restarted",
            (Self::Stop, Effect::Changed) => "stopped",
            (Self::Stop, Effect::Unchanged) => "was not up",
            (Self::Enable, Effect::Changed) => "enabled",
            (Self::Enable, Effect::Unchanged) => "already enabled",
            (Self::Disable, Effect::Changed) => "disabled",
            (Self::Disable, Effect::Unchanged) => "was not enabled",
            (Self::Reset, Effect::Changed) => "reset",
            (Self::Reset, Effect::Unchanged) => "had nothing to reset",
        }
    }
}

/// Applies an action to all experiments at once, prints each result as it arrives, and fails with the first
/// error.
pub(super) async fn apply(
    context: &Context,
    action: UnitAction,
    ids: &[ExperimentId],
) -> Result<(), CliError> {
    let units = context.units().await?;
    let mut jobs = JoinSet::new();
    for id in ids {
        let (units, id) = (Arc::clone(&units), id.clone());
        let ends = matches!(action, UnitAction::Stop | UnitAction::Restart);
        let request = format!("bij {}", action.verb());
        let order = if ends { record_stop(&units, &context.layout, &id, &request) } else { None };
        jobs.spawn(async move {
            let result = apply_to_one(&units, action, &id).await;
            let changed_nothing = matches!(result, Ok(Effect::Unchanged) | Err(_));
            if let Some(order) = order.filter(|_| changed_nothing) {
                order.take_back();
            }
            (id, result)
        });
    }
    let mut outcomes = Vec::new();
    let mut first = None;
    while let Some(joined) = jobs.join_next().await {
        let (id, result) = joined.map_err(|error| CliError::from_error(Kind::Internal, &error))?;
        let effect = *result.as_ref().unwrap_or(&Effect::Failed);
        let error = result.err().map(CliError::from);
        let queued = match (action, effect) {
            (_, Effect::Skipped) | (UnitAction::Stop, Effect::Unchanged) => {
                waiting_run(context, &id).await
            }
            (_, Effect::Changed | Effect::Unchanged | Effect::Failed) => None,
        };
        let text = match (&error, &queued) {
            // The error of a single experiment is reported once, when it ends the command.
            (Some(error), _) => (ids.len() > 1).then(|| error.sentence()),
            (None, Some(queued)) if action == UnitAction::Stop => Some(format!(
                "was not up; {} is still in the queue, `{} cancel {}` removes it",
                queued.id, context.bij_command, queued.id
            )),
            (None, Some(queued)) => Some(format!("queued as {}", queued.sentence())),
            (None, None) => Some(action.describe(effect).to_owned()),
        };
        if let Some(text) = text {
            context.terminal.status(&format!("{id}: {text}"));
        }
        let sentence = error.as_ref().map(CliError::sentence);
        outcomes.push(UnitOutcome { id, effect, error: sentence, queued });
        first = first.or(error);
    }
    outcomes.sort_by(|a, b| a.id.cmp(&b.id));
    context.terminal.show(&UnitOutcomes(outcomes))?;
    first.map_or(Ok(()), Err)
}

/// Returns the waiting run of an experiment, if the queue can be read. A start that the coordinator does not
/// admit puts its run there.
async fn waiting_run(context: &Context, id: &ExperimentId) -> Option<WaitingRun> {
    facts::first_waiting_runs(context, std::slice::from_ref(id)).await.ok()?.remove(id)
}

async fn apply_to_one(
    units: &ScopeUnits,
    action: UnitAction,
    id: &ExperimentId,
) -> Result<Effect, UnitError> {
    let started = |started| match started {
        Started::Up => Effect::Changed,
        Started::AlreadyUp => Effect::Unchanged,
        Started::Skipped => Effect::Skipped,
    };
    let changed = |change| match change {
        Outcome::Changed => Effect::Changed,
        Outcome::Unchanged => Effect::Unchanged,
    };
    match action {
        UnitAction::Start => units.start(id).await.map(started),
        UnitAction::Restart => units.restart(id).await.map(started),
        UnitAction::Stop => units.stop(id).await.map(changed),
        UnitAction::Enable => units.set_enabled(id, true).await.map(changed),
        UnitAction::Disable => units.set_enabled(id, false).await.map(changed),
        UnitAction::Reset => units.reset_failed(id).await.map(changed),
    }
}
