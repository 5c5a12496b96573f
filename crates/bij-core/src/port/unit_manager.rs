//! The ports that start, stop, observe and restrain the units of experiments.

use std::future::Future;

use thiserror::Error;

use crate::{ExperimentId, LoadState, Outcome, Percent, UnitStatus};

/// The result of a start that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Started {
    /// The unit was started and is active.
    Up,
    /// The unit was active already.
    AlreadyUp,
    /// An `ExecCondition=` did not allow the start.
    Skipped,
}

/// Returns the rest of a sentence that begins with a unit in this state.
fn load_predicate(load: &LoadState) -> String {
    match load {
        LoadState::Masked => "is masked, so it cannot be started".to_owned(),
        LoadState::BadSetting => "has a bad setting, and systemd does not start it".to_owned(),
        LoadState::Error => "cannot be loaded by systemd".to_owned(),
        other => format!("is not loaded by systemd: {:?}", other.as_str()),
    }
}

fn load_remedy(load: &LoadState, unit: &str) -> String {
    match load {
        LoadState::Masked => format!("sudo systemctl unmask {unit}"),
        _ => format!(
            "systemctl status {unit}; systemctl cat {unit}; then sudo systemctl daemon-reload"
        ),
    }
}

/// The error of a call to the unit manager.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UnitError {
    /// There is no such experiment.
    #[error("there is no experiment {0}")]
    NotFound(ExperimentId),
    /// The manager cannot load the unit, so it cannot be started.
    #[error("the unit of {id} {}", load_predicate(.load))]
    NotLoaded {
        /// The experiment of the unit.
        id: ExperimentId,
        /// The load state that the manager reports.
        load: LoadState,
    },
    /// The job ended and failed.
    #[error(
        "the {verb} job of {id} ended with result {result:?}{}",
        reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default()
    )]
    Job {
        /// The experiment of the job.
        id: ExperimentId,
        /// `start`, `stop` or `restart`.
        verb: &'static str,
        /// systemd's `JobRemoved` result: `failed`, `timeout`, `canceled`, `dependency`, …
        result: String,
        /// The reason that the unit itself reports (`StatusText`), without control characters.
        reason: Option<String>,
    },
    /// The manager could not execute the condition of the start and skipped the start, for example because a
    /// file system is full or read-only.
    #[error(
        "the service manager could not prepare the start of {id} and skipped it ({status}{meaning})"
    )]
    NotPrepared {
        /// The experiment that was to be started.
        id: ExperimentId,
        /// The exit status (systemd.exec(5), "Process Exit Codes").
        status: i32,
        /// The name of the exit status there, after a slash; empty if it is unknown.
        meaning: &'static str,
    },
    /// The caller may not do this.
    #[error("no permission to {action}")]
    Denied {
        /// The action that failed.
        action: String,
        /// The error of the manager.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The manager cannot be reached or did not answer in time.
    #[error("the service manager cannot be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The machine or the user's session shuts down, so nothing can be started any more.
    #[error("the service manager is going down and starts nothing any more")]
    GoingDown(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The manager does not support the action.
    #[error("{0}")]
    Unsupported(&'static str),
    /// Another error of the manager.
    #[error("the service manager refused to {action}")]
    Refused {
        /// The action that failed.
        action: String,
        /// The error of the manager.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl UnitError {
    /// Returns whether the same call may succeed later without intervention.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::GoingDown(_))
    }

    /// Returns the command that removes the cause, if it is known.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::NotLoaded { id, load } => Some(load_remedy(load, &id.unit_name())),
            _ => None,
        }
    }
}

/// Starts, stops and observes the units of experiments.
///
/// A start or stop returns when its job is done, not when it is queued. The provided methods are those of a
/// manager that is not a service manager: it starts nothing at boot and counts no starts.
///
/// The trait is used through generics. [`BoxedUnits`](super::BoxedUnits) is a manager chosen at run time.
pub trait UnitManager: Send + Sync {
    /// Starts the experiment; [`Started::AlreadyUp`] if its unit is active.
    ///
    /// A start limit that was hit before is reset, because the start is requested explicitly.
    fn start(&self, id: &ExperimentId) -> impl Future<Output = Result<Started, UnitError>> + Send;

    /// Stops the experiment; [`Outcome::Unchanged`] if its unit is inactive.
    fn stop(&self, id: &ExperimentId) -> impl Future<Output = Result<Outcome, UnitError>> + Send;

    /// Stops the experiment if its unit is active, then starts it.
    fn restart(
        &self,
        id: &ExperimentId,
    ) -> impl Future<Output = Result<Started, UnitError>> + Send {
        async move {
            self.stop(id).await?;
            self.start(id).await
        }
    }

    /// Resets the failed state and the start count of the unit.
    fn reset_failed(
        &self,
        _: &ExperimentId,
    ) -> impl Future<Output = Result<Outcome, UnitError>> + Send {
        async { Ok(Outcome::Unchanged) }
    }

    /// Sets whether the experiment is started at boot.
    fn set_enabled(
        &self,
        _: &ExperimentId,
        _: bool,
    ) -> impl Future<Output = Result<Outcome, UnitError>> + Send {
        async { Err(UnitError::Unsupported("nothing is started at boot here")) }
    }

    /// Returns the status of one unit; a unit that is not loaded is `inactive`.
    fn status(
        &self,
        id: &ExperimentId,
    ) -> impl Future<Output = Result<UnitStatus, UnitError>> + Send {
        async move {
            let loaded = self.list().await?.into_iter().find(|unit| unit.id == *id);
            Ok(loaded.unwrap_or_else(|| UnitStatus::down(id.clone())))
        }
    }

    /// Lists the loaded units of all experiments. The number of calls to the manager does not depend on the
    /// number of units.
    fn list(&self) -> impl Future<Output = Result<Vec<UnitStatus>, UnitError>> + Send;

    /// Lists those of these units that are loaded, as [`list`](Self::list) does. It is cheaper than a
    /// [`status`](Self::status) of each, which reads all properties of a unit.
    fn list_named(
        &self,
        ids: &[ExperimentId],
    ) -> impl Future<Output = Result<Vec<UnitStatus>, UnitError>> + Send {
        async move {
            let mut listed = self.list().await?;
            listed.retain(|unit| ids.contains(&unit.id));
            Ok(listed)
        }
    }
}

/// Restrains the processes of running units: freezes them, limits their processor time, kills them.
///
/// The provided method is that of a manager that cannot kill them at once.
pub trait UnitRestrainer: Send + Sync {
    /// Freezes or thaws the processes of the experiment. [`Outcome::Unchanged`] if they are in that state
    /// already or the unit is inactive. A stop ends a frozen unit like any other; the next attempt is not
    /// frozen.
    ///
    /// `FreezeUnit` and `ThawUnit` of `org.freedesktop.systemd1(5)`: since systemd 246, on cgroup v2.
    fn set_frozen(
        &self,
        id: &ExperimentId,
        frozen: bool,
    ) -> impl Future<Output = Result<Outcome, UnitError>> + Send;

    /// Limits the processor time of a running experiment: 100 % is one processor (`CPUQuota=`,
    /// `systemd.resource-control(5)`). A tighter limit from its definition or an operator stays in force.
    /// `None` restores the experiment's own limit.
    ///
    /// A [`stop`](UnitManager::stop) by this manager lifts the limit; automatic restarts keep it. After a unit
    /// has ended by itself, the caller that set the limit lifts it by `None`. An inactive unit is not limited,
    /// and the result is [`Outcome::Unchanged`].
    fn set_cpu_cap(
        &self,
        id: &ExperimentId,
        cap: Option<Percent>,
    ) -> impl Future<Output = Result<Outcome, UnitError>> + Send;

    /// Kills the processes of an experiment (`SIGKILL`), whatever job its unit has: the last resort when it
    /// must end. The unit ends as after any kill, so a caller that does not want a restart also
    /// [stops](UnitManager::stop) it.
    ///
    /// The main process is killed at once. The hook that records the end may run for a few more seconds, and so
    /// may processes that the main process left behind.
    fn kill(&self, _: &ExperimentId) -> impl Future<Output = Result<(), UnitError>> + Send {
        async { Err(UnitError::Unsupported("nothing can be killed at once here")) }
    }
}
