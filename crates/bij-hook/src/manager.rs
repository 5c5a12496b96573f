//! The service manager as a port of the hooks.

use bij_core::ExperimentId;
use bij_systemd::UnitFacts;
use thiserror::Error;

/// The service manager did not answer, or refused.
#[derive(Debug, Error)]
#[error("cannot call the service manager")]
pub struct ManagerError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// The service manager that called a hook.
pub trait Manager {
    /// Returns the current state of the unit of an experiment.
    ///
    /// # Errors
    /// [`ManagerError`] if it does not answer.
    fn facts(&self, id: &ExperimentId) -> Result<UnitFacts, ManagerError>;

    /// Stops the unit of an experiment; returns when the job is queued. A unit that is already stopping is then not
    /// restarted.
    ///
    /// # Errors
    /// [`ManagerError`] if it does not answer, or refuses.
    fn stop(&self, id: &ExperimentId) -> Result<(), ManagerError>;

    /// Reloads all units and their drop-ins; returns when that is done.
    ///
    /// # Errors
    /// [`ManagerError`] if it does not answer, or refuses.
    fn reload(&self) -> Result<(), ManagerError>;

    /// Returns whether the unit of any experiment is loaded.
    ///
    /// # Errors
    /// [`ManagerError`] if it does not answer.
    fn has_loaded_experiments(&self) -> Result<bool, ManagerError>;

    /// Returns whether the machine is shutting down, not only a user's session ending.
    ///
    /// # Errors
    /// [`ManagerError`] if it does not answer.
    fn is_stopping(&self) -> Result<bool, ManagerError>;
}
