//! Waits for a job without missing its end.
//!
//! The sequence follows org.freedesktop.systemd1(5): subscribe, request the job, then wait for the
//! `JobRemoved` signal with the job's path. The signal may arrive before the reply to the request, so every
//! signal since the subscription is examined. Signals can be lost (a bus that restarts, a manager that
//! re-executes), so the unit is also polled for the job; the wait thus ends whenever PID 1 ends the job.
//!
//! One match rule serves all jobs as long as the connection lives, so a start needs no bus call before the
//! call to PID 1.

use bij_core::{ActiveState, JobResult};
use zbus::names::{OwnedUniqueName, UniqueName};
use zbus::{Connection, MatchRule, Message, MessageStream, OwnedObjectPath, message};

use crate::bus::{Bus, call, subscribe, with_timeout};
use crate::error::Operation;
use crate::message_stream::next_message;
use crate::{ManagerError, UnitName};

/// The kind of a job that is requested of a unit (org.freedesktop.systemd1(5), `StartUnit()` and the others).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JobKind {
    /// Starts the unit and what it requires.
    Start,
    /// Stops the unit and what requires it.
    Stop,
    /// Stops the unit if it is up, then starts it.
    Restart,
    /// Stops the unit and starts it again if it is up; does nothing to a unit that is down.
    TryRestart,
    /// Makes the unit read its own configuration again, not the manager its unit file.
    Reload,
    /// Reloads a unit that can be reloaded, and restarts any other.
    ReloadOrRestart,
}

impl JobKind {
    /// Returns the verb of systemctl(1).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::TryRestart => "try-restart",
            Self::Reload => "reload",
            Self::ReloadOrRestart => "reload-or-restart",
        }
    }
}

impl std::fmt::Display for JobKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a job does to queued jobs that it conflicts with (systemctl(1), `--job-mode=`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JobMode {
    /// It replaces them, and they are cancelled.
    #[default]
    Replace,
    /// It fails itself, and they stay.
    Fail,
    /// It replaces them, and later jobs cannot replace it.
    ReplaceIrreversibly,
    /// It ignores the dependencies of the unit.
    IgnoreDependencies,
}

impl JobMode {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Fail => "fail",
            Self::ReplaceIrreversibly => "replace-irreversibly",
            Self::IgnoreDependencies => "ignore-dependencies",
        }
    }
}

/// A job request to one unit, with a subscription to the ends of jobs that began before the request.
pub(crate) struct JobRequest<'a> {
    bus: &'a Bus,
    unit: &'a UnitName,
    signals: JobSignals,
}

impl<'a> JobRequest<'a> {
    /// Subscribes to the ends of jobs; to be called before the request is sent.
    pub(crate) async fn subscribe(bus: &'a Bus, unit: &'a UnitName) -> Result<Self, ManagerError> {
        Ok(Self { bus, unit, signals: JobSignals::open(bus).await? })
    }

    /// Requests a job of the unit.
    pub(crate) async fn send(
        &self,
        kind: JobKind,
        mode: JobMode,
    ) -> Result<OwnedObjectPath, ManagerError> {
        send_job(self.bus, self.unit, kind, mode).await
    }

    /// Waits for the result of a job that [`send`](Self::send), or another call after the subscription, returned.
    ///
    /// # Errors
    /// [`ManagerError::Job`] for every result but `done` and `skipped`; otherwise the manager's error.
    pub(crate) async fn wait(
        mut self,
        kind: JobKind,
        job: &OwnedObjectPath,
    ) -> Result<JobSuccess, ManagerError> {
        let result = wait(self.bus, self.unit, kind, job, &mut self.signals).await?;
        match result {
            JobResult::Done => Ok(JobSuccess::Done),
            JobResult::Skipped => Ok(JobSuccess::Skipped),
            result => Err(ManagerError::Job { unit: self.unit.clone(), kind, result }),
        }
    }

    /// Requests a job of mode `replace` and waits for its result.
    pub(crate) async fn send_and_wait(self, kind: JobKind) -> Result<JobSuccess, ManagerError> {
        let job = self.send(kind, JobMode::Replace).await?;
        self.wait(kind, &job).await
    }
}

/// Requests a job and returns its object path.
pub(crate) async fn send_job(
    bus: &Bus,
    unit: &UnitName,
    kind: JobKind,
    mode: JobMode,
) -> Result<OwnedObjectPath, ManagerError> {
    let operation = Operation::on_instance(kind.as_str(), unit)?;
    let manager = bus.manager().await?;
    let (unit, mode) = (unit.as_str(), mode.as_str());
    match kind {
        JobKind::Start => call(operation, manager.start_unit(unit, mode)).await,
        JobKind::Stop => call(operation, manager.stop_unit(unit, mode)).await,
        JobKind::Restart => call(operation, manager.restart_unit(unit, mode)).await,
        JobKind::TryRestart => call(operation, manager.try_restart_unit(unit, mode)).await,
        JobKind::Reload => call(operation, manager.reload_unit(unit, mode)).await,
        JobKind::ReloadOrRestart => {
            call(operation, manager.reload_or_restart_unit(unit, mode)).await
        }
    }
}

/// Result of a job that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobSuccess {
    /// It did what was requested.
    Done,
    /// There was nothing to do, or a condition of the unit did not allow it. Newer versions of systemd report
    /// [`Done`](Self::Done) for a start that a condition did not allow.
    Skipped,
}

async fn wait(
    bus: &Bus,
    unit: &UnitName,
    kind: JobKind,
    job: &OwnedObjectPath,
    signals: &mut JobSignals,
) -> Result<JobResult, ManagerError> {
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
                if let Some(result) = result_without_signal(bus, unit, kind, job).await? {
                    return Ok(result);
                }
            }
        }
    }
}

/// Derives the result of a job whose signal was lost from its unit's state; `None` while the job exists.
async fn result_without_signal(
    bus: &Bus,
    unit: &UnitName,
    kind: JobKind,
    job: &OwnedObjectPath,
) -> Result<Option<JobResult>, ManagerError> {
    let properties = bus.unit(unit).await?;
    if properties.job().as_ref() == Some(job) {
        return Ok(None);
    }
    let state = ActiveState::from(properties.text("ActiveState").unwrap_or_default());
    let done = match kind {
        JobKind::Stop => state.is_down(),
        _ => state != ActiveState::Failed,
    };
    Ok(Some(if done { JobResult::Done } else { JobResult::Failed }))
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
    pub(crate) async fn open(bus: &Bus) -> Result<Self, ManagerError> {
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
    pub(crate) async fn next(&mut self) -> Option<(OwnedObjectPath, JobResult)> {
        loop {
            let message = next_message(&mut self.stream).await?;
            if let Some(ended) = self.parse_end(&message) {
                return Some(ended);
            }
        }
    }

    fn parse_end(&self, message: &Message) -> Option<(OwnedObjectPath, JobResult)> {
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
        Some((job, JobResult::from(result)))
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
