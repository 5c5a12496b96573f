//! Verbs that have the manager do one thing to each of several experiments.

use std::sync::Arc;

use bij_core::port::{Started, UnitError, UnitManager as _};
use bij_core::{ExperimentId, Order, Outcome as Change};
use tokio::task::JoinSet;

use crate::context::Context;
use crate::error::CliError;
use crate::orders;
use crate::queued;
use crate::units::{Units, puts_down_orders};
use crate::view::{Effect, Outcome, Outcomes, Queued};
use crate::who::who;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Start,
    Stop,
    Restart,
    Enable,
    Disable,
    Reset,
}

impl Act {
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

    /// What to say when it is done.
    const fn said(self, effect: Effect) -> &'static str {
        match (self, effect) {
            (_, Effect::Failed) => "failed",
            (_, Effect::Skipped) => "not started now: a condition said no, and its log says why",
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

/// Does it to all of them at once, tells each result as it comes, and fails with the first error.
pub(crate) async fn act(context: &Context, act: Act, ids: &[ExperimentId]) -> Result<(), CliError> {
    let units = context.units().await?;
    let mut jobs = JoinSet::new();
    for id in ids {
        let (units, id) = (Arc::clone(&units), id.clone());
        let ends = matches!(act, Act::Stop | Act::Restart) && puts_down_orders(&units);
        let order = ends.then(|| {
            let by = format!("bij {} by {}", act.verb(), who());
            orders::write_order(&context.layout, &id, &Order::stop(by))
        });
        jobs.spawn(async move {
            let done = one(&units, act, &id).await;
            let in_vain = matches!(done, Ok(Effect::Unchanged) | Err(_));
            if let Some(order) = order.filter(|_| in_vain) {
                order.take_back();
            }
            (id, done)
        });
    }
    let mut outcomes = Vec::new();
    let mut first = None;
    while let Some(joined) = jobs.join_next().await {
        let (id, done) =
            joined.map_err(|error| CliError::of(crate::error::Kind::Internal, &error))?;
        let effect = *done.as_ref().unwrap_or(&Effect::Failed);
        let error = done.err().map(CliError::from);
        let queued = match (act, effect) {
            (_, Effect::Skipped) | (Act::Stop, Effect::Unchanged) => in_queue(context, &id).await,
            (_, Effect::Changed | Effect::Unchanged | Effect::Failed) => None,
        };
        let said = match (&error, &queued) {
            // One alone is told by its error, which ends the command.
            (Some(error), _) => (ids.len() > 1).then(|| error.sentence()),
            (None, Some(queued)) if act == Act::Stop => Some(format!(
                "was not up; {} is still in the queue, `{} cancel {}` takes it out",
                queued.id, context.again, queued.id
            )),
            (None, Some(queued)) => Some(format!("queued as {}", queued.sentence())),
            (None, None) => Some(act.said(effect).to_owned()),
        };
        if let Some(said) = said {
            context.terminal.status(&format!("{id}: {said}"));
        }
        let sentence = error.as_ref().map(CliError::sentence);
        outcomes.push(Outcome { id, effect, error: sentence, queued });
        first = first.or(error);
    }
    outcomes.sort_by(|a, b| a.id.cmp(&b.id));
    context.terminal.show(&Outcomes(outcomes))?;
    first.map_or(Ok(()), Err)
}

/// The run of an experiment that waits: when the coordinator said "not now" it has put one there.
async fn in_queue(context: &Context, id: &ExperimentId) -> Option<Queued> {
    // Without an answer there is the log, which tells as well.
    queued::first_of(context, std::slice::from_ref(id)).await.ok()?.remove(id)
}

async fn one(units: &Units, act: Act, id: &ExperimentId) -> Result<Effect, UnitError> {
    let started = |started| match started {
        Started::Up => Effect::Changed,
        Started::AlreadyUp => Effect::Unchanged,
        Started::Skipped => Effect::Skipped,
    };
    let changed = |change| match change {
        Change::Changed => Effect::Changed,
        Change::Unchanged => Effect::Unchanged,
    };
    match act {
        Act::Start => units.start(id).await.map(started),
        Act::Restart => units.restart(id).await.map(started),
        Act::Stop => units.stop(id).await.map(changed),
        Act::Enable => units.set_enabled(id, true).await.map(changed),
        Act::Disable => units.set_enabled(id, false).await.map(changed),
        Act::Reset => units.reset_failed(id).await.map(changed),
    }
}
