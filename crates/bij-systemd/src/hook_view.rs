//! What the hooks around a start and an end ask PID 1, without a runtime of their own.
//!
//! A hook stands in the way of every start, so it asks over one connection, all at once. Where the
//! bus is not there (early boot, late shutdown, a broken dbus-daemon) it asks `systemctl`, which
//! has a private way to PID 1 that other programs cannot use.

mod facts;
mod service;
mod show;

use bij_core::ExperimentId;
use bij_core::port::UnitError;
use thiserror::Error;
use tokio::runtime::Runtime;

use crate::RuntimeScope;
use crate::bus::{Action, Bus, call};

pub use facts::{JobType, UnitFacts};
pub use service::ServiceState;

/// Asks a service manager about one unit, for callers that are not async.
#[derive(Debug)]
pub struct HookView {
    scope: RuntimeScope,
    bus: Option<(Runtime, Bus)>,
}

/// Why neither the bus nor `systemctl` gave an answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HookViewError {
    /// The manager was asked over the bus and refused.
    #[error("cannot {action} over the bus")]
    Bus {
        /// What was to be done.
        action: &'static str,
        /// What came back.
        #[source]
        source: UnitError,
    },
    /// `systemctl` could not be run.
    #[error("cannot run systemctl to {action}")]
    Spawn {
        /// What was to be done.
        action: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// `systemctl` failed.
    #[error("systemctl failed to {action}: {message}")]
    Systemctl {
        /// What was to be done.
        action: &'static str,
        /// What it wrote to stderr.
        message: String,
    },
}

impl HookView {
    /// Connects to the manager's bus if there is one; it is no error if there is none.
    pub fn connect(scope: RuntimeScope) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let bus = runtime.ok().and_then(|runtime| {
            let bus = runtime.block_on(Bus::connect(scope)).ok()?;
            Some((runtime, bus))
        });
        Self { scope, bus }
    }

    /// What the manager knows about an experiment's unit now.
    ///
    /// # Errors
    /// [`HookViewError`] if nobody answers.
    pub fn unit_facts(&self, id: &ExperimentId) -> Result<UnitFacts, HookViewError> {
        let action = "look at the unit";
        match self.over_bus(|bus| facts_over(bus, id)) {
            Some(answer) => answer.map_err(|source| HookViewError::Bus { action, source }),
            None => show::facts(self.scope, id),
        }
    }

    /// Whether the manager itself is going down, and the machine or the session with it.
    ///
    /// # Errors
    /// [`HookViewError`] if nobody answers.
    pub fn is_stopping(&self) -> Result<bool, HookViewError> {
        let action = "look at the manager";
        match self.over_bus(state_over) {
            Some(Ok(state)) => Ok(state == STOPPING),
            Some(Err(source)) => Err(HookViewError::Bus { action, source }),
            None => show::is_stopping(self.scope),
        }
    }

    /// Whether the manager has the unit of any experiment loaded, running or not.
    ///
    /// # Errors
    /// [`HookViewError`] if nobody answers.
    pub fn has_loaded_experiments(&self) -> Result<bool, HookViewError> {
        let action = "list the units";
        match self.over_bus(loaded_over) {
            Some(answer) => answer.map_err(|source| HookViewError::Bus { action, source }),
            None => show::has_loaded_experiments(self.scope),
        }
    }

    /// Whether a service that systemd starts again whenever it ends is there.
    ///
    /// # Errors
    /// [`HookViewError`] if nobody answers.
    pub fn service_state(&self, unit: &str) -> Result<ServiceState, HookViewError> {
        let action = "look at the coordinator";
        match self.over_bus(|bus| service_over(bus, unit)) {
            Some(answer) => answer.map_err(|source| HookViewError::Bus { action, source }),
            None => show::service_state(self.scope, unit),
        }
    }

    /// Has an experiment's unit stopped, and returns when the job is queued.
    ///
    /// # Errors
    /// [`HookViewError`] if nobody answers or it may not be done.
    pub fn stop(&self, id: &ExperimentId) -> Result<(), HookViewError> {
        let action = "stop the unit";
        match self.over_bus(|bus| stop_over(bus, id)) {
            Some(answer) => answer.map_err(|source| HookViewError::Bus { action, source }),
            None => show::stop(self.scope, id),
        }
    }

    /// Has the manager read all units again, and waits until it has.
    ///
    /// # Errors
    /// [`HookViewError`] if nobody answers or it may not be done.
    pub fn reload(&self) -> Result<(), HookViewError> {
        let action = "reload";
        match self.over_bus(Bus::reload) {
            Some(answer) => answer.map_err(|source| HookViewError::Bus { action, source }),
            None => show::reload(self.scope),
        }
    }

    /// Asks over the bus; `None` if there is no bus or it does not lead to the manager.
    fn over_bus<'a, T, F>(&'a self, ask: impl FnOnce(&'a Bus) -> F) -> Option<Result<T, UnitError>>
    where
        F: Future<Output = Result<T, UnitError>>,
    {
        let (runtime, bus) = self.bus.as_ref()?;
        match runtime.block_on(ask(bus)) {
            Err(UnitError::Unreachable(_)) => None,
            answer => Some(answer),
        }
    }
}

/// `SystemState` of a manager that is going down (org.freedesktop.systemd1(5)).
const STOPPING: &str = "stopping";

async fn state_over(bus: &Bus) -> Result<String, UnitError> {
    let manager = bus.manager().await?;
    call(Action { verb: "look at the manager", id: None }, manager.system_state()).await
}

/// Matches the unit of every experiment.
const ALL: &str = "brain-experiment@*.service";

async fn loaded_over(bus: &Bus) -> Result<bool, UnitError> {
    let manager = bus.manager().await?;
    let action = Action { verb: "list the units", id: None };
    Ok(!call(action, manager.list_units_by_patterns(&[], &[ALL])).await?.is_empty())
}

async fn service_over(bus: &Bus, unit: &str) -> Result<ServiceState, UnitError> {
    let manager = bus.manager().await?;
    let action = Action { verb: "look at the coordinator", id: None };
    let units = call(action, manager.list_units_by_names(&[unit])).await?;
    let (.., active_state, _, _, _, job, _, _) = units.into_iter().next().unwrap_or_default();
    Ok(ServiceState::new(&active_state, job != 0))
}

async fn stop_over(bus: &Bus, id: &ExperimentId) -> Result<(), UnitError> {
    let manager = bus.manager().await?;
    let action = Action { verb: "stop", id: Some(id) };
    call(action, manager.stop_unit(&id.unit_name(), "replace")).await.map(drop)
}

async fn facts_over(bus: &Bus, id: &ExperimentId) -> Result<UnitFacts, UnitError> {
    let manager = bus.manager().await?;
    let action = Action { verb: "look at the manager", id: None };
    let (properties, state) = tokio::try_join!(bus.unit(id), call(action, manager.system_state()))?;
    let job = match properties.job() {
        // Rare: only while a job is under way is its type worth a second question.
        Some(job) => bus.job_type(job.as_str()).await?,
        None => None,
    };
    Ok(UnitFacts::from_bus(&properties, job.as_deref(), &state))
}
