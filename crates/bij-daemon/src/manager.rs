//! What the hooks ask the service manager that called them.

use bij_core::{ExperimentId, TimeSpan, Timestamp};
use thiserror::Error;

/// What PID 1, or a user's manager, says about a unit while a hook of it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitFacts {
    /// The type of the job that is being done: `stop`, `restart`, …; none if it ends by itself.
    pub job: Option<String>,
    /// Whether the machine goes down (`SystemState` is `stopping`).
    pub system_stopping: bool,
    /// Whether this life of the unit ever was active; absent if the manager does not tell.
    pub became_ready: Option<bool>,
    /// When it became active.
    pub ready: Option<Timestamp>,
    /// How long the main process ran.
    pub ran_for: Option<TimeSpan>,
    /// `RuntimeMaxSec=` in force.
    pub time_limit: Option<TimeSpan>,
    /// The last `STATUS=` text.
    pub status_text: Option<String>,
    /// `NRestarts`.
    pub restarts: Option<u32>,
}

/// The service manager did not answer.
#[derive(Debug, Error)]
#[error("cannot {action}")]
pub struct ManagerError {
    /// What was asked, as `read the properties of x.service`.
    pub action: String,
    /// What went wrong.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// The service manager, as a hook sees it.
pub trait Manager {
    /// What it says about the unit of an experiment.
    ///
    /// # Errors
    /// [`ManagerError`] if it does not answer.
    fn facts(&self, id: &ExperimentId) -> Result<UnitFacts, ManagerError>;

    /// The value of `$BIJ_STAMP` in the unit's environment as it is loaded now.
    ///
    /// # Errors
    /// [`ManagerError`] if it does not answer.
    fn stamp(&self, id: &ExperimentId) -> Result<Option<String>, ManagerError>;

    /// Has all units and their drop-ins read again; returns when that is done.
    ///
    /// # Errors
    /// [`ManagerError`] if it does not answer.
    fn reload(&self) -> Result<(), ManagerError>;

    /// Whether the machine, or the user's session, goes down.
    ///
    /// # Errors
    /// [`ManagerError`] if it does not answer.
    fn is_stopping(&self) -> Result<bool, ManagerError>;
}
