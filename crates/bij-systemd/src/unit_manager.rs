//! The unit manager port over systemd's service managers.

mod cpu_cap;
mod kill;
mod restrainer;
mod settings;
mod start;
mod state_change;

pub use settings::SettingsInForce;

use std::collections::BTreeSet;
use std::path::PathBuf;

use bij_cgroup::{CgroupPath, CgroupRoot};
use bij_core::port::{Started, UnitError, UnitManager, UnitRestrainer};
use bij_core::{ActiveState, ExperimentId, Outcome, Resources, ServiceResult, UnitStatus};

use crate::bus::{Bus, Operation, call};
use crate::job::{JobRequest, JobVerb};
use crate::properties::UnitProperties;
use crate::scope::{EXPERIMENT_UNITS, UnitDirs};
use crate::{RuntimeScope, list};

/// The target that wants all enabled experiments: `WantedBy=` of the template.
const TARGET: &str = "brain-experiment.target";

/// The units of experiments under PID 1 or under a user's service manager.
///
/// Reading needs no privileges. polkit decides what an unprivileged caller may change.
#[derive(Debug)]
pub struct SystemdUnits {
    /// The reason instead, if there is no manager to call.
    bus: Result<Bus, &'static str>,
    cgroups: Option<CgroupRoot>,
    dirs: UnitDirs,
}

impl SystemdUnits {
    /// Connects to a manager: PID 1 over the system bus, or the user's over the session bus.
    ///
    /// # Errors
    /// [`UnitError::Unreachable`] if there is no bus, or no answer.
    pub async fn connect(scope: RuntimeScope) -> Result<Self, UnitError> {
        let units = Self::unconnected(scope);
        units.bus()?.try_connect().await?;
        Ok(units)
    }

    /// Creates a client that connects at the first call, and again after the connection was lost.
    pub fn unconnected(scope: RuntimeScope) -> Self {
        Self::new(Ok(Bus::new(scope)), CgroupRoot::MOUNT_POINT.into(), UnitDirs::for_scope(scope))
    }

    /// Creates a client without a manager: every call fails with [`UnitError::Unreachable`] for this reason.
    ///
    /// It stands for the manager of a tree that is not this machine's own.
    pub fn without_manager(reason: &'static str) -> Self {
        let dirs = UnitDirs::for_scope(RuntimeScope::System);
        Self::new(Err(reason), CgroupRoot::MOUNT_POINT.into(), dirs)
    }

    /// Returns `true` while the boot, or the start of the user's session, is not finished (`SystemState`,
    /// org.freedesktop.systemd1(5)).
    ///
    /// # Errors
    /// [`UnitError`] if the manager does not answer.
    pub async fn is_booting(&self) -> Result<bool, UnitError> {
        Ok(matches!(&*self.state().await?, "initializing" | "starting"))
    }

    /// Returns `true` if the manager is shutting down: it stops all units and starts none.
    ///
    /// # Errors
    /// [`UnitError`] if the manager does not answer.
    pub async fn is_going_down(&self) -> Result<bool, UnitError> {
        Ok(&*self.state().await? == "stopping")
    }

    /// Makes the manager reload all unit files and waits for the end of the reload.
    ///
    /// # Errors
    /// [`UnitError`] if the manager does not answer, or refuses.
    pub async fn reload(&self) -> Result<(), UnitError> {
        self.bus()?.reload().await
    }

    async fn state(&self) -> Result<String, UnitError> {
        let manager = self.bus()?.manager().await?;
        let operation = Operation { verb: "inspect the manager", id: None };
        call(operation, manager.system_state()).await
    }

    fn new(bus: Result<Bus, &'static str>, cgroups: PathBuf, dirs: UnitDirs) -> Self {
        // Without control groups (some containers) only the resources are unknown.
        Self { bus, cgroups: CgroupRoot::open(cgroups).ok(), dirs }
    }

    #[cfg(test)]
    pub(crate) fn from_peer(bus: Bus, root: &std::path::Path) -> Self {
        Self::new(Ok(bus), root.join("cgroup"), UnitDirs::below(root))
    }

    pub(crate) fn bus(&self) -> Result<&Bus, UnitError> {
        self.bus.as_ref().map_err(|reason| UnitError::Unreachable((*reason).into()))
    }

    fn resources(&self, control_group: &str) -> Resources {
        let group = control_group.parse::<CgroupPath>().ok().filter(|_| !control_group.is_empty());
        match (&self.cgroups, group) {
            (Some(root), Some(group)) => root.at(&group).read().resources,
            _ => Resources::default(),
        }
    }

    /// Lists the loaded units with these names or patterns.
    async fn list_matching(&self, patterns: &[&str]) -> Result<Vec<UnitStatus>, UnitError> {
        let manager = self.bus()?.manager().await?;
        let operation = Operation { verb: "list experiments", id: None };
        let read = async {
            tokio::try_join!(manager.list_units_by_patterns(&[], patterns), manager.control_group())
        };
        let (rows, own_group) = call(operation, read).await?;
        let (cgroups, dirs) = (self.cgroups.clone(), self.dirs.clone());
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
        start::start(self.bus()?, id).await
    }

    async fn stop(&self, id: &ExperimentId) -> Result<Outcome, UnitError> {
        let properties = self.bus()?.unit(id).await?;
        if is_down(&properties) && properties.job().is_none() {
            return Ok(Outcome::Unchanged);
        }
        JobRequest::subscribe(self.bus()?, id).await?.send_and_wait(JobVerb::Stop).await?;
        // A cap that stays would apply to the next attempt. An error shows at the next change of the cap.
        let _ = self.set_cpu_cap(id, None).await;
        Ok(Outcome::Changed)
    }

    async fn restart(&self, id: &ExperimentId) -> Result<Started, UnitError> {
        start::restart(self.bus()?, id).await
    }

    async fn reset_failed(&self, id: &ExperimentId) -> Result<Outcome, UnitError> {
        let properties = self.bus()?.unit(id).await?;
        let failed = active_state(&properties) == ActiveState::Failed;
        let restarted = properties.u32("NRestarts").is_some_and(|restarts| restarts > 0);
        // Always, because the starts that count towards the start limit are not visible.
        reset_failed(self.bus()?, id).await?;
        Ok(if failed || restarted { Outcome::Changed } else { Outcome::Unchanged })
    }

    async fn set_enabled(&self, id: &ExperimentId, enabled: bool) -> Result<Outcome, UnitError> {
        let manager = self.bus()?.manager().await?;
        let unit = id.unit_name();
        let changes = if enabled {
            let operation = Operation { verb: "enable", id: Some(id) };
            // No package enables the target of a user's manager, and without it no experiment starts.
            let units = [unit.as_str(), TARGET];
            call(operation, manager.enable_unit_files(&units, false, false)).await?.1
        } else {
            let operation = Operation { verb: "disable", id: Some(id) };
            call(operation, manager.disable_unit_files(&[&unit], false)).await?
        };
        if changes.is_empty() {
            return Ok(Outcome::Unchanged);
        }
        // PID 1 notices changed links only in a reload.
        self.bus()?.reload().await?;
        Ok(Outcome::Changed)
    }

    async fn status(&self, id: &ExperimentId) -> Result<UnitStatus, UnitError> {
        let properties = self.bus()?.unit(id).await?;
        let mut resources = self.resources(properties.text("ControlGroup").unwrap_or_default());
        // The manager's settings, where no control group can be read (unit not active, some containers). Where
        // one can, a quota that the kernel lacks stays absent, because it has no effect.
        if resources.memory_max.is_none() {
            resources.memory_max = properties.bytes_limit("MemoryMax");
            resources.cpu_quota = resources.cpu_quota.or_else(|| properties.cpu_quota());
        }
        Ok(status(id, &properties, resources))
    }

    async fn list(&self) -> Result<Vec<UnitStatus>, UnitError> {
        self.list_matching(&[EXPERIMENT_UNITS]).await
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
        self.list_matching(&names.iter().map(String::as_str).collect::<Vec<_>>()).await
    }
}

/// Resets failures and the start limit; a unit that is not loaded has none.
async fn reset_failed(bus: &Bus, id: &ExperimentId) -> Result<(), UnitError> {
    let manager = bus.manager().await?;
    let operation = Operation { verb: "reset", id: Some(id) };
    match call(operation, manager.reset_failed_unit(&id.unit_name())).await {
        Err(UnitError::NotFound(_)) => Ok(()),
        forgotten => forgotten,
    }
}

fn is_down(properties: &UnitProperties) -> bool {
    active_state(properties).is_down()
}

fn active_state(properties: &UnitProperties) -> ActiveState {
    ActiveState::from(properties.text("ActiveState").unwrap_or("inactive"))
}

fn status(id: &ExperimentId, properties: &UnitProperties, resources: Resources) -> UnitStatus {
    UnitStatus {
        id: id.clone(),
        // A unit that is down has no stop job, so its job is a start.
        start_due: is_down(properties) && properties.job().is_some(),
        active_state: active_state(properties),
        frozen: properties.is_frozen() == Some(true),
        masked: properties.text("LoadState") == Some("masked"),
        sub_state: properties.sub_state(),
        result: result(properties),
        main_pid: properties.u32("MainPID").filter(|pid| *pid > 0),
        invocation: properties.invocation(),
        since: state_change::entered_at(properties),
        restarts: properties.u32("NRestarts"),
        enabled: properties
            .text("UnitFileState")
            .map(|state| matches!(state, "enabled" | "enabled-runtime")),
        status_text: properties.text("StatusText").map(ToOwned::to_owned),
        resources,
    }
}

/// Returns `Result` if the unit has run; before that it is always `success`.
fn result(properties: &UnitProperties) -> Option<ServiceResult> {
    let has_run = properties.monotonic("InactiveEnterTimestampMonotonic").is_some()
        || properties.monotonic("ExecMainExitTimestampMonotonic").is_some();
    properties.text("Result").filter(|_| has_run).map(ServiceResult::from)
}

#[cfg(test)]
mod tests;
