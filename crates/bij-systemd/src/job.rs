//! Waits for a job without missing its end.
//!
//! The sequence follows org.freedesktop.systemd1(5): subscribe, request the job, then wait for the
//! `JobRemoved` signal with the job's path. The signal may arrive before the reply to the request, so every
//! signal since the subscription is examined. Signals can be lost (a bus that restarts, a manager that
//! re-executes), so the unit is also polled for the job; the wait thus ends whenever PID 1 ends the job.

use bij_core::port::UnitError;
use bij_core::{ActiveState, ExperimentId};
use zbus::OwnedObjectPath;

use crate::bus::{Action, Bus, call};
use crate::job_signals::JobSignals;

/// The kind of job that is requested of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobVerb {
    Start,
    Stop,
    Restart,
}

impl JobVerb {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
        }
    }
}

/// A job request to one unit, with a subscription to the ends of jobs that began before the request.
pub(crate) struct JobRequest<'a> {
    bus: &'a Bus,
    id: &'a ExperimentId,
    signals: JobSignals,
}

impl<'a> JobRequest<'a> {
    /// Subscribes to the ends of jobs; to be called before the request is sent.
    pub(crate) async fn subscribe(bus: &'a Bus, id: &'a ExperimentId) -> Result<Self, UnitError> {
        Ok(Self { bus, id, signals: JobSignals::open(bus).await? })
    }

    /// Requests a job with mode `replace`, so that it replaces a conflicting queued job.
    pub(crate) async fn send(&self, verb: JobVerb) -> Result<OwnedObjectPath, UnitError> {
        let action = Action { verb: verb.as_str(), id: Some(self.id) };
        let manager = self.bus.manager().await?;
        let unit = self.id.unit_name();
        match verb {
            JobVerb::Start => call(action, manager.start_unit(&unit, "replace")).await,
            JobVerb::Stop => call(action, manager.stop_unit(&unit, "replace")).await,
            JobVerb::Restart => call(action, manager.restart_unit(&unit, "replace")).await,
        }
    }

    /// Waits for the result of a job that [`send`](Self::send) returned.
    ///
    /// # Errors
    /// [`UnitError::Job`] for every result but `done` and `skipped`; otherwise the manager's error.
    pub(crate) async fn wait(
        mut self,
        verb: JobVerb,
        job: &OwnedObjectPath,
    ) -> Result<JobSuccess, UnitError> {
        let result = wait(self.bus, self.id, verb, job, &mut self.signals).await?;
        match &result[..] {
            "done" => Ok(JobSuccess::Done),
            "skipped" => Ok(JobSuccess::Skipped),
            _ => {
                let (id, verb) = (self.id.clone(), verb.as_str());
                Err(UnitError::Job { id, verb, result, reason: None })
            }
        }
    }

    /// Requests a job and waits for its result.
    pub(crate) async fn send_and_wait(self, verb: JobVerb) -> Result<JobSuccess, UnitError> {
        let job = self.send(verb).await?;
        self.wait(verb, &job).await
    }
}

/// Result of a job that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobSuccess {
    Done,
    Skipped,
}

async fn wait(
    bus: &Bus,
    id: &ExperimentId,
    verb: JobVerb,
    job: &OwnedObjectPath,
    signals: &mut JobSignals,
) -> Result<String, UnitError> {
    let mut is_subscribed = true;
    loop {
        // Cancel-safe: a stream's `next` holds no message, so dropping the losing branch loses none.
        tokio::select! {
            ended = signals.next(), if is_subscribed => match ended {
                Some((ended, result)) if ended == *job => return Ok(result),
                Some(_) => {}
                None => is_subscribed = false,
            },
            () = tokio::time::sleep(bus.job_poll_interval()) => {
                if let Some(result) = result_without_signal(bus, id, verb, job).await? {
                    return Ok(result);
                }
            }
        }
    }
}

/// Derives the result of a job whose signal was lost from its unit's state; `None` while the job exists.
async fn result_without_signal(
    bus: &Bus,
    id: &ExperimentId,
    verb: JobVerb,
    job: &OwnedObjectPath,
) -> Result<Option<String>, UnitError> {
    let properties = bus.unit(id).await?;
    if properties.job().as_ref() == Some(job) {
        return Ok(None);
    }
    let state = ActiveState::from(properties.text("ActiveState").unwrap_or_default());
    let done = match verb {
        JobVerb::Stop => state.is_down(),
        JobVerb::Start | JobVerb::Restart => state != ActiveState::Failed,
    };
    Ok(Some(if done { "done" } else { "failed" }.to_owned()))
}
