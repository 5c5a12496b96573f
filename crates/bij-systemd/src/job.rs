//! Waiting for a job without missing its end.
//!
//! The order is that of org.freedesktop.systemd1(5): subscribe, then ask, then wait for the
//! `JobRemoved` of the job that was asked for, by its path. The signal may arrive before the answer
//! to the question, so everything since the subscription is looked at. Signals can be lost (a bus
//! that restarts, a manager that re-executes), so from time to time the unit itself is asked
//! whether the job is still there; that also bounds the wait by what PID 1 itself bounds.

use bij_core::port::UnitError;
use bij_core::{ActiveState, ExperimentId};
use zbus::OwnedObjectPath;

use crate::bus::{Action, Bus, call};
use crate::job_signals::JobSignals;

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

/// An order to a unit that is about to be given: every job that is over is heard from here on.
pub(crate) struct Order<'a> {
    bus: &'a Bus,
    id: &'a ExperimentId,
    signals: JobSignals,
}

impl<'a> Order<'a> {
    /// Listens, before anything is asked for.
    pub(crate) async fn prepare(bus: &'a Bus, id: &'a ExperimentId) -> Result<Self, UnitError> {
        Ok(Self { bus, id, signals: JobSignals::open(bus).await? })
    }

    /// Asks for a job with mode `replace`, so that a person's order replaces whatever is queued.
    pub(crate) async fn give(&self, verb: Verb) -> Result<OwnedObjectPath, UnitError> {
        let action = Action { verb: verb.as_str(), id: Some(self.id) };
        let manager = self.bus.manager().await?;
        let unit = self.id.unit_name();
        match verb {
            Verb::Start => call(action, manager.start_unit(&unit, "replace")).await,
            Verb::Stop => call(action, manager.stop_unit(&unit, "replace")).await,
            Verb::Restart => call(action, manager.restart_unit(&unit, "replace")).await,
        }
    }

    /// Waits for the result of a job that was given.
    ///
    /// # Errors
    /// [`UnitError::Job`] for every result but `done` and `skipped`; else whatever the manager said.
    pub(crate) async fn wait(
        mut self,
        verb: Verb,
        job: &OwnedObjectPath,
    ) -> Result<Done, UnitError> {
        let result = wait(self.bus, self.id, verb, job, &mut self.signals).await?;
        match &result[..] {
            "done" => Ok(Done::Done),
            "skipped" => Ok(Done::Skipped),
            _ => {
                let (id, verb) = (self.id.clone(), verb.as_str());
                Err(UnitError::Job { id, verb, result, reason: None })
            }
        }
    }

    /// Gives it and waits.
    pub(crate) async fn carry_out(self, verb: Verb) -> Result<Done, UnitError> {
        let job = self.give(verb).await?;
        self.wait(verb, &job).await
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
    signals: &mut JobSignals,
) -> Result<String, UnitError> {
    let mut listening = true;
    loop {
        // Cancel-safe: a stream's `next` holds no message, so the branch that loses loses nothing.
        tokio::select! {
            ended = signals.next(), if listening => match ended {
                Some((ended, result)) if ended == *job => return Ok(result),
                Some(_) => {}
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
        Verb::Stop => state.is_down(),
        Verb::Start | Verb::Restart => state != ActiveState::Failed,
    };
    Ok(Some(if done { "done" } else { "failed" }.to_owned()))
}
