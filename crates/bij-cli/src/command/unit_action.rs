//! Actions of the manager on several experiments.

use std::sync::Arc;

use bij_core::port::{Started, UnitError, UnitManager as _};
use bij_core::{ExperimentId, Order, Outcome};
use tokio::task::JoinSet;

use crate::caller::caller;
use crate::context::Context;
use crate::error::CliError;
use crate::orders;
use crate::units::{Units, must_record_order};
use crate::view::{Effect, UnitOutcome, UnitOutcomes, WaitingRun};
use crate::waiting_runs;

/// An action on the unit of an experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnitAction {
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
pub(crate) async fn apply(
    context: &Context,
    action: UnitAction,
    ids: &[ExperimentId],
) -> Result<(), CliError> {
    let units = context.units().await?;
    let mut jobs = JoinSet::new();
    for id in ids {
        let (units, id) = (Arc::clone(&units), id.clone());
        let ends = matches!(action, UnitAction::Stop | UnitAction::Restart);
        let order = (ends && must_record_order(&units)).then(|| {
            let by = format!("bij {} by {}", action.verb(), caller());
            orders::write_order(&context.layout, &id, &Order::stop(by))
        });
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
        let (id, result) =
            joined.map_err(|error| CliError::from_error(crate::error::Kind::Internal, &error))?;
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
    waiting_runs::first_waiting(context, std::slice::from_ref(id)).await.ok()?.remove(id)
}

async fn apply_to_one(
    units: &Units,
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
