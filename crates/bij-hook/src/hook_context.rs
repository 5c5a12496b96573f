//! What the hooks around an attempt work with: their environment, the ports of the workspace, and two small ports of their
//! own.

use bij_core::{ExperimentId, InvocationId, MonotonicTime};
use bij_host::HostContext;
use bij_systemd::JournalEnd;
use bij_systemd::experiment::UnitFacts;
use thiserror::Error;

use crate::HookEnv;

/// What the hooks at the begin and at the end of an attempt work with.
#[derive(Debug)]
pub struct HookContext<'a, D, L, M, J> {
    /// The installation that the hook was called for.
    pub host: &'a HostContext,
    /// The environment that systemd gave the hook.
    pub env: &'a HookEnv,
    /// Reads the definition of the experiment.
    pub definitions: &'a D,
    /// Takes the begin and the end of the attempt, and knows earlier attempts.
    pub ledger: &'a mut L,
    /// The service manager that called the hook.
    pub manager: &'a M,
    /// The journal of that manager.
    pub journal: &'a J,
}

/// The service manager did not answer, or refused.
#[derive(Debug, Error)]
#[error("cannot call the service manager")]
pub struct HookManagerError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// The service manager that called a hook.
pub trait HookManager {
    /// Returns the current state of the unit of an experiment.
    ///
    /// # Errors
    /// [`HookManagerError`] if it does not answer.
    fn facts(&self, id: &ExperimentId) -> Result<UnitFacts, HookManagerError>;

    /// Stops the unit of an experiment; returns when the job is queued. A unit that is already stopping is then not
    /// restarted.
    ///
    /// # Errors
    /// [`HookManagerError`] if it does not answer, or refuses.
    fn stop(&self, id: &ExperimentId) -> Result<(), HookManagerError>;

    /// Reloads all units and their drop-ins; returns when that is done.
    ///
    /// # Errors
    /// [`HookManagerError`] if it does not answer, or refuses.
    fn reload(&self) -> Result<(), HookManagerError>;

    /// Returns whether the unit of any experiment is loaded.
    ///
    /// # Errors
    /// [`HookManagerError`] if it does not answer.
    fn has_loaded_experiments(&self) -> Result<bool, HookManagerError>;

    /// Returns whether the machine is shutting down, not only a user's session ending.
    ///
    /// # Errors
    /// [`HookManagerError`] if it does not answer.
    fn is_stopping(&self) -> Result<bool, HookManagerError>;
}

/// The journal could not be read.
#[derive(Debug, Error)]
#[error("cannot read the journal")]
pub struct HookJournalError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Log records of the service manager, the kernel and the experiments.
pub trait HookJournal {
    /// Returns when and how one invocation of a unit ended; `None` if its manager logged no end.
    ///
    /// # Errors
    /// [`HookJournalError`] if the journal cannot be read.
    fn end_of(&self, invocation: InvocationId) -> Result<Option<JournalEnd>, HookJournalError>;

    /// Returns the names of the processes of one invocation of a unit that its manager had to kill.
    ///
    /// # Errors
    /// [`HookJournalError`] if the journal cannot be read.
    fn killed_in(&self, invocation: InvocationId) -> Result<Vec<String>, HookJournalError>;

    /// Returns the newest `count` lines that an experiment printed in one invocation of its unit, oldest first.
    /// Waits up to some seconds for lines that the journal has yet to store.
    ///
    /// # Errors
    /// [`HookJournalError`] if the journal cannot be read.
    fn last_lines(
        &self,
        id: &ExperimentId,
        invocation: InvocationId,
        count: usize,
    ) -> Result<Vec<String>, HookJournalError>;

    /// Returns the kernel's newest line about an OOM kill in the unit's control group since `since`
    /// (`CLOCK_MONOTONIC`), if it can be read.
    fn oom_line(&self, id: &ExperimentId, since: Option<MonotonicTime>) -> Option<String>;
}
