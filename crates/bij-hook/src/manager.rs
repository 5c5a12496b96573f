//! What the hooks ask the service manager that called them.

use bij_core::ExperimentId;
use bij_systemd::UnitFacts;
use thiserror::Error;

/// The service manager did not answer.
#[derive(Debug, Error)]
#[error("the service manager cannot be asked")]
pub struct ManagerError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// The service manager, as a hook sees it.
pub trait Manager {
    /// What it says about the unit of an experiment now.
    ///
    /// # Errors
    /// [`ManagerError`] if it does not answer.
    fn facts(&self, id: &ExperimentId) -> Result<UnitFacts, ManagerError>;

    /// Has the unit of an experiment stopped, and returns when the job is queued. A unit that is on its way
    /// down already is not restarted then.
    ///
    /// # Errors
    /// [`ManagerError`] if it does not answer, or refuses.
    fn stop(&self, id: &ExperimentId) -> Result<(), ManagerError>;

    /// Has all units and their drop-ins read again; returns when that is done.
    ///
    /// # Errors
    /// [`ManagerError`] if it does not answer, or refuses.
    fn reload(&self) -> Result<(), ManagerError>;

    /// Whether it has the unit of any experiment loaded.
    ///
    /// # Errors
    /// [`ManagerError`] if it does not answer.
    fn has_loaded_experiments(&self) -> Result<bool, ManagerError>;

    /// Whether the machine goes down, not only a session on it.
    ///
    /// # Errors
    /// [`ManagerError`] if it does not answer.
    fn is_stopping(&self) -> Result<bool, ManagerError>;
}
