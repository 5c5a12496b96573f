//! The unit manager port over systemd's service managers.

mod cpu_cap;
mod kill;
mod restrainer;
mod settings;
mod start;

pub use settings::SettingsInForce;

use std::collections::BTreeSet;

use bij_core::port::{Started, UnitError, UnitManager, UnitRestrainer};
use bij_core::{ActiveState, ExperimentId, Outcome, Resources, UnitStatus};

use super::unit_dirs::UnitDirs;
use super::{EXPERIMENT_UNITS, list};
use crate::error::Operation;
use crate::manager::{Manager, UnitFileLife, entered_at, service_result};
use crate::properties::UnitProperties;
use crate::{RuntimeScope, UnitName};

/// The target that wants all enabled experiments: `WantedBy=` of the template.
const TARGET: &str = "brain-experiment.target";

/// The units of experiments under PID 1 or under a user's service manager.
///
/// Reading needs no privileges. polkit decides what an unprivileged caller may change.
#[derive(Debug)]
pub struct SystemdUnits {
    /// The reason instead, if there is no manager to call.
    manager: Result<Manager, &'static str>,
    dirs: UnitDirs,
}

impl SystemdUnits {
    /// Connects to a manager: PID 1 over the system bus, or the user's over the session bus.
    ///
    /// # Errors
    /// [`UnitError::Unreachable`] if there is no bus, or no answer.
    pub async fn connect(scope: RuntimeScope) -> Result<Self, UnitError> {
        let manager = Manager::connect(scope).await?;
        Ok(Self { manager: Ok(manager), dirs: UnitDirs::for_scope(scope) })
    }

    /// Creates a client that connects at the first call, and again after the connection was lost.
    pub fn unconnected(scope: RuntimeScope) -> Self {
        Self { manager: Ok(Manager::unconnected(scope)), dirs: UnitDirs::for_scope(scope) }
    }

    /// Creates a client without a manager: every call fails with [`UnitError::Unreachable`] for this reason.
    ///
    /// It stands for the manager of a tree that is not this machine's own.
    pub fn without_manager(reason: &'static str) -> Self {
        Self { manager: Err(reason), dirs: UnitDirs::for_scope(RuntimeScope::System) }
    }

    /// Returns `true` while the boot, or the start of the user's session, is not finished (`SystemState`,
    /// org.freedesktop.systemd1(5)).
    ///
    /// # Errors
    /// [`UnitError`] if the manager does not answer.
    pub async fn is_booting(&self) -> Result<bool, UnitError> {
        Ok(matches!(&*self.manager()?.system_state().await?, "initializing" | "starting"))
    }

    /// Returns `true` if the manager is shutting down: it stops all units and starts none.
    ///
    /// # Errors
    /// [`UnitError`] if the manager does not answer.
    pub async fn is_going_down(&self) -> Result<bool, UnitError> {
        Ok(&*self.manager()?.system_state().await? == "stopping")
    }

    /// Makes the manager reload all unit files and waits for the end of the reload.
    ///
    /// # Errors
    /// [`UnitError`] if the manager does not answer, or refuses.
    pub async fn reload(&self) -> Result<(), UnitError> {
        Ok(self.manager()?.daemon_reload().await?)
    }

    #[cfg(test)]
    pub(crate) fn from_peer(bus: crate::bus::Bus, root: &std::path::Path) -> Self {
        let manager = Manager::new(bus, crate::ManagerAddress::System, root.join("cgroup"));
        Self::with_manager(manager, root)
    }

    #[cfg(test)]
    pub(crate) fn with_manager(manager: Manager, root: &std::path::Path) -> Self {
        Self { manager: Ok(manager), dirs: UnitDirs::below(root) }
    }

    /// Returns the client of the manager.
    ///
    /// # Errors
    /// [`UnitError::Unreachable`] if this is a client [without a manager](Self::without_manager).
    pub fn manager(&self) -> Result<&Manager, UnitError> {
        self.manager.as_ref().map_err(|reason| UnitError::Unreachable((*reason).into()))
    }

    /// Reads all properties of an experiment's unit.
    pub(super) async fn properties(&self, id: &ExperimentId) -> Result<UnitProperties, UnitError> {
        Ok(self.manager()?.bus().unit(&UnitName::from_experiment(id)).await?)
    }

    /// Lists the loaded units with these names or patterns.
    async fn list_matching(&self, patterns: &[String]) -> Result<Vec<UnitStatus>, UnitError> {
        let manager = self.manager()?;
        let operation = Operation::new("list experiments");
        let (rows, own_group) = manager.rows(operation, &[], patterns).await?;
        let (cgroups, dirs) = (manager.cgroups().cloned(), self.dirs.clone());
        // Reads thousands of small files, which must not block this thread.
        let read = move || list::statuses(&rows, &own_group, cgroups.as_ref(), &dirs);
        let read = tokio::task::spawn_blocking(read).await;
        read.map_err(|lost| UnitError::Unreachable(lost.into()))
    }
}

/// Number of units above which all are listed.
const MAX_NAMED: usize = 64;

impl UnitManager for SystemdUnits {
    async fn start(&self, id: &ExperimentId) -> Result<Started, UnitError> {
        start::start(self.manager()?, id).await
    }

    async fn stop(&self, id: &ExperimentId) -> Result<Outcome, UnitError> {
        let properties = self.properties(id).await?;
        if is_down(&properties) && properties.job().is_none() {
            return Ok(Outcome::Unchanged);
        }
        self.manager()?.stop(&UnitName::from_experiment(id)).await?;
        // A cap that stays would apply to the next attempt. An error shows at the next change of the cap.
        let _ = self.set_cpu_cap(id, None).await;
        Ok(Outcome::Changed)
    }

    async fn restart(&self, id: &ExperimentId) -> Result<Started, UnitError> {
        start::restart(self.manager()?, id).await
    }

    async fn reset_failed(&self, id: &ExperimentId) -> Result<Outcome, UnitError> {
        let properties = self.properties(id).await?;
        let failed = properties.active_state() == ActiveState::Failed;
        let restarted = properties.u32("NRestarts").is_some_and(|restarts| restarts > 0);
        // Always, because the starts that count towards the start limit are not visible.
        self.manager()?.reset_failed(&UnitName::from_experiment(id)).await?;
        Ok(if failed || restarted { Outcome::Changed } else { Outcome::Unchanged })
    }

    async fn set_enabled(&self, id: &ExperimentId, enabled: bool) -> Result<Outcome, UnitError> {
        let (manager, unit) = (self.manager()?, UnitName::from_experiment(id));
        let changes = if enabled {
            // No package enables the target of a user's manager, and without it no experiment starts.
            let target = UnitName::new(TARGET).expect("it is a name");
            manager.enable(&[unit, target], UnitFileLife::Persistent).await?
        } else {
            manager.disable(&[unit], UnitFileLife::Persistent).await?
        };
        Ok(if changes.is_empty() { Outcome::Unchanged } else { Outcome::Changed })
    }

    async fn status(&self, id: &ExperimentId) -> Result<UnitStatus, UnitError> {
        let properties = self.properties(id).await?;
        let resources = self.manager()?.resources_of(&properties);
        Ok(status(id, &properties, resources))
    }

    async fn list(&self) -> Result<Vec<UnitStatus>, UnitError> {
        self.list_matching(&[EXPERIMENT_UNITS.to_owned()]).await
    }

    async fn list_named(&self, ids: &[ExperimentId]) -> Result<Vec<UnitStatus>, UnitError> {
        // systemd takes no pattern at all for any unit, and compares every unit with every pattern.
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        if ids.len() > MAX_NAMED {
            let ids: BTreeSet<&ExperimentId> = ids.iter().collect();
            let listed = self.list().await?;
            return Ok(listed.into_iter().filter(|unit| ids.contains(&unit.id)).collect());
        }
        // An id has no character that is special in a pattern, and unlike a name a pattern loads no unit.
        let names: Vec<String> = ids.iter().map(ExperimentId::unit_name).collect();
        self.list_matching(&names).await
    }
}

fn is_down(properties: &UnitProperties) -> bool {
    properties.active_state().is_down()
}

fn status(id: &ExperimentId, properties: &UnitProperties, resources: Resources) -> UnitStatus {
    let mut status = UnitStatus::down(id.clone());
    // A unit that is down has no stop job, so its job is a start.
    status.start_due = is_down(properties) && properties.job().is_some();
    status.active_state = properties.active_state();
    status.frozen = properties.is_frozen() == Some(true);
    status.masked = properties.text("LoadState") == Some("masked");
    status.sub_state = properties.sub_state();
    status.result = service_result(properties);
    status.main_pid = properties.u32("MainPID").filter(|pid| *pid > 0);
    status.invocation = properties.invocation();
    status.since = entered_at(properties);
    status.restarts = properties.u32("NRestarts");
    status.enabled = properties
        .text("UnitFileState")
        .map(|state| matches!(state, "enabled" | "enabled-runtime"));
    status.status_text = properties.text("StatusText").map(ToOwned::to_owned);
    status.resources = resources;
    status
}

#[cfg(test)]
mod tests;
