//! Waits for a job without missing its end.
//!
//! The sequence follows org.freedesktop.systemd1(5): subscribe, request the job, then wait for the
//! `JobRemoved` signal with the job's path. The signal may arrive before the reply to the request, so every
//! signal since the subscription is examined. Signals can be lost (a bus that restarts, a manager that
//! re-executes), so the unit is also polled for the job; the wait thus ends whenever PID 1 ends the job.
//!
//! One match rule serves all jobs as long as the connection lives, so a start needs no bus call before the
//! call to PID 1.

use bij_core::port::UnitError;
use bij_core::{ActiveState, ExperimentId};
use futures_util::StreamExt as _;
use zbus::names::{OwnedUniqueName, UniqueName};
use zbus::{Connection, MatchRule, Message, MessageStream, OwnedObjectPath, message};

use crate::bus::{Bus, Operation, call, subscribe, with_timeout};

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
        let operation = Operation { verb: verb.as_str(), id: Some(self.id) };
        let manager = self.bus.manager().await?;
        let unit = self.id.unit_name();
        match verb {
            JobVerb::Start => call(operation, manager.start_unit(&unit, "replace")).await,
            JobVerb::Stop => call(operation, manager.stop_unit(&unit, "replace")).await,
            JobVerb::Restart => call(operation, manager.restart_unit(&unit, "replace")).await,
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

const MANAGER_INTERFACE: &str = "org.freedesktop.systemd1.Manager";
const JOB_REMOVED: &str = "JobRemoved";

/// A stream of the ends of all jobs since it was opened.
pub(crate) struct JobSignals {
    stream: MessageStream,
    /// The manager's unique name: signals of other senders are ignored. `None` on a peer-to-peer connection.
    sender: Option<OwnedUniqueName>,
}

impl JobSignals {
    /// Subscribes to the ends of jobs.
    pub(crate) async fn open(bus: &Bus) -> Result<Self, UnitError> {
        let open = async {
            let connection = bus.signals().await?;
            let stream = MessageStream::from(&connection);
            // Each time, because a restarted manager has lost its subscribers.
            let sender = subscribe(&connection).await?;
            Ok(Self { stream, sender })
        };
        with_timeout(open).await
    }

    /// Returns the next finished job and its result; `None` if the connection is lost. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<(OwnedObjectPath, String)> {
        loop {
            // An error is the last item of a stream.
            let message = self.stream.next().await?.ok()?;
            if let Some(ended) = self.parse_end(&message) {
                return Some(ended);
            }
        }
    }

    fn parse_end(&self, message: &Message) -> Option<(OwnedObjectPath, String)> {
        let header = message.header();
        let is_end = header.message_type() == message::Type::Signal
            && header.member().is_some_and(|member| member == JOB_REMOVED)
            && header.interface().is_some_and(|interface| interface == MANAGER_INTERFACE)
            && header.sender().map(UniqueName::as_str)
                == self.sender.as_deref().map(UniqueName::as_str);
        if !is_end {
            return None;
        }
        let body = message.body();
        let (_, job, _, result) =
            body.deserialize::<(u32, OwnedObjectPath, String, String)>().ok()?;
        Some((job, result))
    }
}

/// Makes the bus deliver the ends of jobs to this connection for its lifetime.
pub(crate) async fn add_job_match(connection: &Connection) -> zbus::Result<()> {
    let rule = MatchRule::builder()
        .msg_type(message::Type::Signal)
        .sender("org.freedesktop.systemd1")
        .interface(MANAGER_INTERFACE)
        .member(JOB_REMOVED)
        .build()?;
    // A zbus stream would do this too, but between two jobs it is not read and would block the connection.
    let bus = "org.freedesktop.DBus";
    connection
        .call_method(Some(bus), "/org/freedesktop/DBus", Some(bus), "AddMatch", &rule.to_string())
        .await
        .map(drop)
}
