//! Starts, stops and looks at the units of experiments.

mod either;

use std::future::Future;

use thiserror::Error;

use crate::{ExperimentId, Outcome, Percent, UnitStatus};

pub use either::{EitherUnits, NoUnits};

/// What became of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Started {
    /// It is up.
    Up,
    /// It already was up.
    AlreadyUp,
    /// A condition said "not now"; nothing failed.
    Skipped,
}

/// Why a manager does not load a unit (`LoadState`, org.freedesktop.systemd1(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadState {
    /// The operator has masked it: `systemctl mask`.
    Masked,
    /// A setting of the unit or of one of its drop-ins, without which it cannot run, is wrong.
    BadSetting,
    /// A file of the unit cannot be read or understood.
    Error,
    /// Another word of a newer systemd.
    Other(String),
}

impl LoadState {
    /// Reads systemd's word; `None` if the unit is loaded, or is not there at all.
    pub fn problem(word: &str) -> Option<Self> {
        match word {
            "loaded" | "not-found" | "stub" | "merged" => None,
            "masked" => Some(Self::Masked),
            "bad-setting" => Some(Self::BadSetting),
            "error" => Some(Self::Error),
            other => Some(Self::Other(other.to_owned())),
        }
    }

    /// What it means for the unit: the rest of a sentence that begins with the unit.
    fn sentence(&self) -> String {
        match self {
            Self::Masked => "is masked, so that nobody can start it".to_owned(),
            Self::BadSetting => "has a bad setting, and systemd does not start it".to_owned(),
            Self::Error => "cannot be loaded by systemd".to_owned(),
            Self::Other(word) => format!("is not loaded by systemd: {word:?}"),
        }
    }

    fn remedy(&self, unit: &str) -> String {
        match self {
            Self::Masked => format!("sudo systemctl unmask {unit}"),
            Self::BadSetting | Self::Error | Self::Other(_) => {
                format!(
                    "systemctl status {unit}; systemctl cat {unit}; then sudo systemctl daemon-reload"
                )
            }
        }
    }
}

/// Why a unit could not be handled.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UnitError {
    /// There is no such experiment.
    #[error("there is no experiment {0}")]
    NotFound(ExperimentId),
    /// The manager cannot load the unit, so nobody can start it.
    #[error("the unit of {id} {}", .load.sentence())]
    NotLoaded {
        /// Whose unit.
        id: ExperimentId,
        /// What the manager says of it.
        load: LoadState,
    },
    /// The job was done and failed.
    #[error(
        "the {verb} job of {id} ended with result {result:?}{}",
        reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default()
    )]
    Job {
        /// Whose job.
        id: ExperimentId,
        /// `start`, `stop` or `restart`.
        verb: &'static str,
        /// systemd's `JobRemoved` result: `failed`, `timeout`, `canceled`, `dependency`, …
        result: String,
        /// Why, as the unit itself has told it (`StatusText`); without control characters.
        reason: Option<String>,
    },
    /// The manager could not prepare the process that says whether the unit may start, and has skipped
    /// the start: on a file system that is full or read-only, for one.
    #[error(
        "the service manager could not prepare the start of {id} and skipped it ({status}{meaning})"
    )]
    NotPrepared {
        /// Whose start.
        id: ExperimentId,
        /// The exit status that says so (systemd.exec(5), "Process Exit Codes").
        status: i32,
        /// Its name there, after a slash; empty if it is unknown.
        meaning: &'static str,
    },
    /// The caller may not do this.
    #[error("no permission to {action}")]
    Denied {
        /// What was to be done.
        action: String,
        /// What the manager said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The manager cannot be reached or did not answer in time.
    #[error("the service manager cannot be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Everything is being stopped, because the machine or the user's session goes down: nothing can
    /// be started any more.
    #[error("the service manager is going down and starts nothing any more")]
    GoingDown(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// This manager has no such function.
    #[error("{0}")]
    Unsupported(&'static str),
    /// Anything else the manager said.
    #[error("the service manager refused to {action}")]
    Refused {
        /// What was to be done.
        action: String,
        /// What the manager said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl UnitError {
    /// Whether the same call may succeed later without anybody's help.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::GoingDown(_))
    }

    /// The command that helps, where the error itself tells.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::NotLoaded { id, load } => Some(load.remedy(&id.unit_name())),
            _ => None,
        }
    }
}

/// Starts, stops and looks at the units of experiments.
///
/// A start or stop returns when its job is done, not when it is queued. What only a service manager
/// can do has an answer here for those that are none: it starts nothing at boot, counts no starts,
/// and keeps no definition that could be stale.
pub trait UnitManager: Send + Sync {
    /// Starts the experiment; one that is already up is [`Started::AlreadyUp`].
    ///
    /// A start limit that was hit before is lifted: whoever asks by hand means it.
    fn start(&self, id: &ExperimentId) -> impl Future<Output = Result<Started, UnitError>> + Send;

    /// Stops the experiment; one that is down is [`Outcome::Unchanged`].
    fn stop(&self, id: &ExperimentId) -> impl Future<Output = Result<Outcome, UnitError>> + Send;

    /// Stops the experiment if it is up, then starts it.
    fn restart(
        &self,
        id: &ExperimentId,
    ) -> impl Future<Output = Result<Started, UnitError>> + Send {
        async move {
            self.stop(id).await?;
            self.start(id).await
        }
    }

    /// Forgets that the unit failed and how often it was started.
    fn reset_failed(
        &self,
        _: &ExperimentId,
    ) -> impl Future<Output = Result<Outcome, UnitError>> + Send {
        async { Ok(Outcome::Unchanged) }
    }

    /// Has the experiment started at boot, or no longer.
    fn set_enabled(
        &self,
        _: &ExperimentId,
        _: bool,
    ) -> impl Future<Output = Result<Outcome, UnitError>> + Send {
        async { Err(UnitError::Unsupported("nothing is started at boot here")) }
    }

    /// Looks at one unit; one that is not loaded is `inactive`.
    fn status(
        &self,
        id: &ExperimentId,
    ) -> impl Future<Output = Result<UnitStatus, UnitError>> + Send {
        async move {
            let loaded = self.list().await?.into_iter().find(|unit| unit.id == *id);
            Ok(loaded.unwrap_or_else(|| UnitStatus::down(id.clone())))
        }
    }

    /// Looks at every loaded unit of an experiment, by a number of calls to the manager that does
    /// not depend on how many there are.
    fn list(&self) -> impl Future<Output = Result<Vec<UnitStatus>, UnitError>> + Send;

    /// Stops the processes of the experiment from being scheduled, without their noticing; or lets
    /// them go on. What is as it should be already is [`Outcome::Unchanged`], and so is one that is
    /// down. A stop ends a frozen one like any other; its next life is not frozen.
    ///
    /// `FreezeUnit` and `ThawUnit` of `org.freedesktop.systemd1(5)`: since systemd 246, on cgroup v2.
    fn set_frozen(
        &self,
        _: &ExperimentId,
        _: bool,
    ) -> impl Future<Output = Result<Outcome, UnitError>> + Send {
        async { Err(UnitError::Unsupported("nothing can be frozen here")) }
    }

    /// Bounds the processor time of an experiment that is up: 100 % is one processor (`CPUQuota=`,
    /// `systemd.resource-control(5)`). Where it has a tighter bound of its own, by its definition or an
    /// operator, that one stays in force. `None` has its own bound in force again.
    ///
    /// A [`stop`](Self::stop) of this manager lifts the bound; automatic restarts keep it. Whoever has
    /// set one lifts it by `None` when the unit has gone down by itself, which works then too. One that
    /// is down is not bounded, and that is [`Outcome::Unchanged`].
    fn set_cpu_cap(
        &self,
        _: &ExperimentId,
        _: Option<Percent>,
    ) -> impl Future<Output = Result<Outcome, UnitError>> + Send {
        async { Err(UnitError::Unsupported("no processor time can be bounded here")) }
    }

    /// Kills the processes of an experiment (`SIGKILL`), whatever is under way with its unit: the last
    /// means where it must be gone. The unit comes to its end as it does after any kill, so whoever
    /// does not want it restarted has it [stopped](Self::stop) as well.
    ///
    /// The main process goes at once. A hook that writes down how it ended may finish, for some
    /// seconds, and for as long lives what the main process has left behind.
    fn kill(&self, _: &ExperimentId) -> impl Future<Output = Result<(), UnitError>> + Send {
        async { Err(UnitError::Unsupported("nothing can be killed at once here")) }
    }

    /// Has changed definitions read again.
    fn reload(&self) -> impl Future<Output = Result<(), UnitError>> + Send {
        async { Ok(()) }
    }
}
