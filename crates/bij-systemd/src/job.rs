//! Waiting for a job without missing its end.
//!
//! The order is that of org.freedesktop.systemd1(5): subscribe, then ask, then wait for the
//! `JobRemoved` of the job that was asked for, by its path. The signal may arrive before the answer
//! to the question, so everything since the subscription is looked at. Signals can be lost (a bus
//! that restarts, a manager that re-executes), so from time to time the unit itself is asked
//! whether the job is still there; that also bounds the wait by what PID 1 itself bounds.

use bij_core::port::UnitError;
use bij_core::{ActiveState, ExperimentId};
use futures_util::StreamExt;
use zbus::OwnedObjectPath;

use crate::bus::{Action, Bus, call};
use crate::proxy::JobRemovedStream;

/// What a job may do to a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Start,
    Stop,
    Restart,
}

impl Verb {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
        }
    }
}

/// Asks for a job with mode `replace`, so that a person's order replaces whatever is queued, and
/// waits for its result.
///
/// # Errors
/// [`UnitError::Job`] for every result but `done` and `skipped`; else whatever the manager said.
pub(crate) async fn run(bus: &Bus, id: &ExperimentId, verb: Verb) -> Result<Done, UnitError> {
    let action = Action { verb: verb.as_str(), id: Some(id) };
    let unit = id.unit_name();
    let signals = bus.signals().await?;
    // The third argument is the unit's name: other units' jobs are not even sent to us.
    let ours = [(2, unit.as_str())];
    let mut removed = call(action, signals.receive_job_removed_with_args(&ours)).await?;
    let manager = bus.manager().await?;
    let job = match verb {
        Verb::Start => call(action, manager.start_unit(&unit, "replace")).await?,
        Verb::Stop => call(action, manager.stop_unit(&unit, "replace")).await?,
        Verb::Restart => call(action, manager.restart_unit(&unit, "replace")).await?,
    };
    let result = wait(bus, id, verb, &job, &mut removed).await?;
    match &result[..] {
        "done" => Ok(Done::Done),
        "skipped" => Ok(Done::Skipped),
        _ => Err(UnitError::Job { id: id.clone(), verb: verb.as_str(), result }),
    }
}

/// How a job ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    Done,
    Skipped,
}

async fn wait(
    bus: &Bus,
    id: &ExperimentId,
    verb: Verb,
    job: &OwnedObjectPath,
    removed: &mut JobRemovedStream,
) -> Result<String, UnitError> {
    let mut listening = true;
    loop {
        // Cancel-safe: a stream's `next` holds no message, so the branch that loses loses nothing.
        tokio::select! {
            signal = removed.next(), if listening => match signal {
                Some(signal) => {
                    if let Ok(args) = signal.args()
                        && args.job == *job
                    {
                        return Ok(args.result);
                    }
                }
                None => listening = false,
            },
            () = tokio::time::sleep(bus.ask_every()) => {
                if let Some(result) = lost_result(bus, id, verb, job).await? {
                    return Ok(result);
                }
            }
        }
    }
}

/// The result of a job whose signal was lost; `None` while it is still there.
async fn lost_result(
    bus: &Bus,
    id: &ExperimentId,
    verb: Verb,
    job: &OwnedObjectPath,
) -> Result<Option<String>, UnitError> {
    let properties = bus.unit(id).await?;
    if properties.job().as_ref() == Some(job) {
        return Ok(None);
    }
    let state = ActiveState::from(properties.text("ActiveState").unwrap_or_default());
    let done = match verb {
        Verb::Stop => matches!(state, ActiveState::Inactive | ActiveState::Failed),
        Verb::Start | Verb::Restart => state != ActiveState::Failed,
    };
    Ok(Some(if done { "done" } else { "failed" }.to_owned()))
}
