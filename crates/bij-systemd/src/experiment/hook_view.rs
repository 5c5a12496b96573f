//! Blocking queries to PID 1, for the hooks around a start and an end.
//!
//! A hook delays every start, so it sends its calls together over one connection. Without a bus (early boot, late
//! shutdown, a broken dbus-daemon) it runs `systemctl`, which has a private connection to PID 1 that other
//! programs cannot use.

mod facts;
mod show;

use bij_core::ExperimentId;
use thiserror::Error;
use tokio::runtime::Runtime;

use super::EXPERIMENT_UNITS;
use crate::RuntimeScope;
use crate::bus::{Bus, call};
use crate::error::Operation;
use crate::job::{JobKind, JobMode, send_job};
use crate::{ManagerError, UnitName};

pub use facts::{JobType, ServiceState, UnitFacts};

/// A blocking client of a service manager, over D-Bus or `systemctl`.
#[derive(Debug)]
pub struct HookView {
    scope: RuntimeScope,
    bus: Option<(Runtime, Bus)>,
}

/// Why neither D-Bus nor `systemctl` gave an answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HookViewError {
    /// The manager refused the call over D-Bus.
    #[error("cannot {action} over the bus")]
    Bus {
        /// The operation that was attempted.
        action: &'static str,
        /// The error of the call.
        #[source]
        source: ManagerError,
    },
    /// `systemctl` could not be run.
    #[error("cannot run systemctl to {action}")]
    Spawn {
        /// The operation that was attempted.
        action: &'static str,
        /// The error of the operating system.
        #[source]
        source: std::io::Error,
    },
    /// `systemctl` exited with an error.
    #[error("systemctl failed to {action}: {message}")]
    Systemctl {
        /// The operation that was attempted.
        action: &'static str,
        /// The text that it wrote to stderr.
        message: String,
    },
}

impl HookView {
    /// Connects to the manager's bus. Without a bus the client uses `systemctl`.
    pub fn connect(scope: RuntimeScope) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let bus = runtime.ok().and_then(|runtime| {
            let bus = runtime.block_on(Bus::connect(scope.into())).ok()?;
            Some((runtime, bus))
        });
        Self { scope, bus }
    }

    /// Reads the state of an experiment's unit.
    ///
    /// # Errors
    /// [`HookViewError`] if the manager does not answer.
    pub fn unit_facts(&self, id: &ExperimentId) -> Result<UnitFacts, HookViewError> {
        let action = "inspect the unit";
        match self.ask_bus(|bus| read_unit_facts(bus, id)) {
            Some(answer) => answer.map_err(|source| HookViewError::Bus { action, source }),
            None => show::facts(self.scope, id),
        }
    }

    /// Returns `true` if the manager is shutting down, and with it the machine or the session.
    ///
    /// # Errors
    /// [`HookViewError`] if the manager does not answer.
    pub fn is_stopping(&self) -> Result<bool, HookViewError> {
        let action = "inspect the manager";
        match self.ask_bus(system_state) {
            Some(Ok(state)) => Ok(state == STOPPING),
            Some(Err(source)) => Err(HookViewError::Bus { action, source }),
            None => show::is_stopping(self.scope),
        }
    }

    /// Returns `true` if the manager has loaded the unit of any experiment, running or not.
    ///
    /// # Errors
    /// [`HookViewError`] if the manager does not answer.
    pub fn has_loaded_experiments(&self) -> Result<bool, HookViewError> {
        let action = "list the units";
        match self.ask_bus(has_loaded_units) {
            Some(answer) => answer.map_err(|source| HookViewError::Bus { action, source }),
            None => show::has_loaded_experiments(self.scope),
        }
    }

    /// Reads the state of a service with `Restart=always`.
    ///
    /// # Errors
    /// [`HookViewError`] if the manager does not answer.
    pub fn service_state(&self, unit: &str) -> Result<ServiceState, HookViewError> {
        let action = "inspect the coordinator";
        match self.ask_bus(|bus| read_service_state(bus, unit)) {
            Some(answer) => answer.map_err(|source| HookViewError::Bus { action, source }),
            None => show::service_state(self.scope, unit),
        }
    }

    /// Queues a stop job for an experiment's unit, without waiting for its end.
    ///
    /// # Errors
    /// [`HookViewError`] if the manager does not answer, or refuses the job.
    pub fn stop(&self, id: &ExperimentId) -> Result<(), HookViewError> {
        let action = "stop the unit";
        match self.ask_bus(|bus| begin_stop(bus, id)) {
            Some(answer) => answer.map_err(|source| HookViewError::Bus { action, source }),
            None => show::stop(self.scope, id),
        }
    }

    /// Makes the manager reload all unit files and waits for the end of the reload.
    ///
    /// # Errors
    /// [`HookViewError`] if the manager does not answer, or refuses.
    pub fn reload(&self) -> Result<(), HookViewError> {
        let action = "reload";
        match self.ask_bus(Bus::reload) {
            Some(answer) => answer.map_err(|source| HookViewError::Bus { action, source }),
            None => show::reload(self.scope),
        }
    }

    /// Asks over D-Bus; `None` if there is no bus, or the manager cannot be reached over it.
    fn ask_bus<'a, T, F>(
        &'a self,
        ask: impl FnOnce(&'a Bus) -> F,
    ) -> Option<Result<T, ManagerError>>
    where
        F: Future<Output = Result<T, ManagerError>>,
    {
        let (runtime, bus) = self.bus.as_ref()?;
        match runtime.block_on(ask(bus)) {
            Err(ManagerError::Unreachable(_)) => None,
            answer => Some(answer),
        }
    }
}

/// `SystemState` of a manager that is shutting down (org.freedesktop.systemd1(5)).
const STOPPING: &str = "stopping";

async fn system_state(bus: &Bus) -> Result<String, ManagerError> {
    let manager = bus.manager().await?;
    call(Operation::new("inspect the manager"), manager.system_state()).await
}

async fn has_loaded_units(bus: &Bus) -> Result<bool, ManagerError> {
    let manager = bus.manager().await?;
    let operation = Operation::new("list the units");
    Ok(!call(operation, manager.list_units_by_patterns(&[], &[EXPERIMENT_UNITS])).await?.is_empty())
}

async fn read_service_state(bus: &Bus, unit: &str) -> Result<ServiceState, ManagerError> {
    let manager = bus.manager().await?;
    let operation = Operation::new("inspect the coordinator");
    let units = call(operation, manager.list_units_by_names(&[unit])).await?;
    let (.., active_state, _, _, _, job, _, _) = units.into_iter().next().unwrap_or_default();
    Ok(ServiceState::new(&active_state, job != 0))
}

async fn begin_stop(bus: &Bus, id: &ExperimentId) -> Result<(), ManagerError> {
    let unit = UnitName::from_experiment(id);
    send_job(bus, &unit, JobKind::Stop, JobMode::Replace).await.map(drop)
}

async fn read_unit_facts(bus: &Bus, id: &ExperimentId) -> Result<UnitFacts, ManagerError> {
    let manager = bus.manager().await?;
    let operation = Operation::new("inspect the manager");
    let unit = UnitName::from_experiment(id);
    let (properties, state) =
        tokio::try_join!(bus.unit(&unit), call(operation, manager.system_state()))?;
    let job = match properties.job() {
        // Rare: the type takes a second call, and only while a job exists.
        Some(job) => bus.job_type(job.as_str()).await?,
        None => None,
    };
    Ok(UnitFacts::from_bus(&properties, job.as_deref(), &state))
}
