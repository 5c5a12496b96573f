//! The port to systemd's service managers.

mod cpu_cap;
mod freezer;
mod kill;
mod settings;
mod since;
mod start;

pub use settings::SettingsInForce;

use std::path::PathBuf;

use bij_cgroup::{CgroupPath, CgroupRoot};
use bij_core::port::{Started, UnitError, UnitManager};
use bij_core::{ActiveState, ExperimentId, Outcome, Percent, Resources, ServiceResult, UnitStatus};

use crate::RuntimeScope;
use crate::bus::{Action, Bus, call};
use crate::job::{Order, Verb};
use crate::list;
use crate::properties::Properties;
use crate::unit_dirs::UnitDirs;

/// Wants all enabled experiments: `WantedBy=` of the template.
const TARGET: &str = "brain-experiment.target";

/// The units of experiments under PID 1, or under a user's own service manager.
///
/// Reading needs no rights. What a caller without rights may change is polkit's to say.
#[derive(Debug)]
pub struct SystemdUnits {
    bus: Bus,
    cgroups: Option<CgroupRoot>,
    dirs: UnitDirs,
}

impl SystemdUnits {
    /// Connects to a manager: PID 1 by the system bus, a user's own by the session bus.
    ///
    /// # Errors
    /// [`UnitError::Unreachable`] if there is no bus or nobody answers.
    pub async fn connect(scope: RuntimeScope) -> Result<Self, UnitError> {
        let units = Self::unconnected(scope);
        units.bus.try_connect().await?;
        Ok(units)
    }

    /// The same manager, connected to when it is first asked, and again whenever the connection was
    /// lost.
    pub fn unconnected(scope: RuntimeScope) -> Self {
        Self::new(Bus::to(scope), "/sys/fs/cgroup".into(), UnitDirs::of(scope))
    }

    /// Whether the manager is still coming up: it has not yet done all that the boot, or the
    /// beginning of the user's session, asks for (`SystemState`, org.freedesktop.systemd1(5)).
    ///
    /// # Errors
    /// [`UnitError`] if nobody answers.
    pub async fn is_booting(&self) -> Result<bool, UnitError> {
        Ok(matches!(&*self.state().await?, "initializing" | "starting"))
    }

    /// Whether the manager is going down: everything is being stopped, and nothing can be started.
    ///
    /// # Errors
    /// [`UnitError`] if nobody answers.
    pub async fn is_going_down(&self) -> Result<bool, UnitError> {
        Ok(&*self.state().await? == "stopping")
    }

    async fn state(&self) -> Result<String, UnitError> {
        let manager = self.bus.manager().await?;
        let action = Action { verb: "look at the manager", id: None };
        call(action, manager.system_state()).await
    }

    fn new(bus: Bus, cgroups: PathBuf, dirs: UnitDirs) -> Self {
        // Without control groups (some containers) everything but resources is still known.
        Self { bus, cgroups: CgroupRoot::open(cgroups).ok(), dirs }
    }

    #[cfg(test)]
    pub(crate) fn over(bus: Bus, root: &std::path::Path) -> Self {
        Self::new(bus, root.join("cgroup"), UnitDirs::below(root))
    }

    pub(crate) fn bus(&self) -> &Bus {
        &self.bus
    }

    fn resources(&self, control_group: &str) -> Resources {
        let group = control_group.parse::<CgroupPath>().ok().filter(|_| !control_group.is_empty());
        match (&self.cgroups, group) {
            (Some(root), Some(group)) => root.at(&group).read().resources,
            _ => Resources::default(),
        }
    }
}

impl UnitManager for SystemdUnits {
    async fn start(&self, id: &ExperimentId) -> Result<Started, UnitError> {
        start::start(&self.bus, id).await
    }

    async fn stop(&self, id: &ExperimentId) -> Result<Outcome, UnitError> {
        let properties = self.bus.unit(id).await?;
        if is_down(&properties) && properties.job().is_none() {
            return Ok(Outcome::Unchanged);
        }
        Order::prepare(&self.bus, id).await?.carry_out(Verb::Stop).await?;
        // One that stays bounds the next life; whoever has set it is told at the next try.
        let _ = self.set_cpu_cap(id, None).await;
        Ok(Outcome::Changed)
    }

    async fn restart(&self, id: &ExperimentId) -> Result<Started, UnitError> {
        start::restart(&self.bus, id).await
    }

    async fn reset_failed(&self, id: &ExperimentId) -> Result<Outcome, UnitError> {
        let properties = self.bus.unit(id).await?;
        let failed = active_state(&properties) == ActiveState::Failed;
        let restarted = properties.u32("NRestarts").is_some_and(|restarts| restarts > 0);
        // Also where nothing shows: the starts that count towards the limit are not visible.
        forget(&self.bus, id).await?;
        Ok(if failed || restarted { Outcome::Changed } else { Outcome::Unchanged })
    }

    async fn set_enabled(&self, id: &ExperimentId, enabled: bool) -> Result<Outcome, UnitError> {
        let manager = self.bus.manager().await?;
        let unit = id.unit_name();
        let changes = if enabled {
            let action = Action { verb: "enable", id: Some(id) };
            // A user's own target is enabled by no package, and starts them all.
            let units = [unit.as_str(), TARGET];
            call(action, manager.enable_unit_files(&units, false, false)).await?.1
        } else {
            let action = Action { verb: "disable", id: Some(id) };
            call(action, manager.disable_unit_files(&[&unit], false)).await?
        };
        if changes.is_empty() {
            return Ok(Outcome::Unchanged);
        }
        // The links have changed; what PID 1 knows of them changes with a reload only.
        self.bus.reload().await?;
        Ok(Outcome::Changed)
    }

    async fn status(&self, id: &ExperimentId) -> Result<UnitStatus, UnitError> {
        let properties = self.bus.unit(id).await?;
        let mut resources = self.resources(properties.text("ControlGroup").unwrap_or_default());
        // Where no control group can be read (not up, some containers), what the manager was told.
        // Where one can, a quota that the kernel does not know stays absent: it has no effect.
        if resources.memory_max.is_none() {
            resources.memory_max = properties.bytes_limit("MemoryMax");
            resources.cpu_quota = resources.cpu_quota.or_else(|| properties.cpu_quota());
        }
        Ok(status(id, &properties, resources))
    }

    async fn list(&self) -> Result<Vec<UnitStatus>, UnitError> {
        let manager = self.bus.manager().await?;
        let action = Action { verb: "list experiments", id: None };
        let patterns = ["brain-experiment@*.service"];
        let read = async {
            tokio::try_join!(
                manager.list_units_by_patterns(&[], &patterns),
                manager.control_group()
            )
        };
        let (rows, own_group) = call(action, read).await?;
        let (cgroups, dirs) = (self.cgroups.clone(), self.dirs.clone());
        // Thousands of small files: nothing else on this thread should wait for them.
        let read = move || list::statuses(&rows, &own_group, cgroups.as_ref(), &dirs);
        let read = tokio::task::spawn_blocking(read).await;
        read.map_err(|lost| UnitError::Unreachable(lost.into()))
    }

    async fn set_frozen(&self, id: &ExperimentId, frozen: bool) -> Result<Outcome, UnitError> {
        freezer::set_frozen(&self.bus, id, frozen).await
    }

    async fn set_cpu_cap(
        &self,
        id: &ExperimentId,
        cap: Option<Percent>,
    ) -> Result<Outcome, UnitError> {
        match cap {
            Some(cap) => self.bound_processor_time(id, cap).await,
            None => self.lift_bound(id).await,
        }
    }

    async fn kill(&self, id: &ExperimentId) -> Result<(), UnitError> {
        kill::kill(&self.bus, self.cgroups.as_ref(), id).await
    }

    async fn reload(&self) -> Result<(), UnitError> {
        self.bus.reload().await
    }
}

/// Forgets failures and the start limit; a unit that is not loaded has none.
async fn forget(bus: &Bus, id: &ExperimentId) -> Result<(), UnitError> {
    let manager = bus.manager().await?;
    let action = Action { verb: "reset", id: Some(id) };
    match call(action, manager.reset_failed_unit(&id.unit_name())).await {
        Err(UnitError::NotFound(_)) => Ok(()),
        forgotten => forgotten,
    }
}

fn is_down(properties: &Properties) -> bool {
    active_state(properties).is_down()
}

fn active_state(properties: &Properties) -> ActiveState {
    ActiveState::from(properties.text("ActiveState").unwrap_or("inactive"))
}

fn status(id: &ExperimentId, properties: &Properties, resources: Resources) -> UnitStatus {
    UnitStatus {
        id: id.clone(),
        // The job of a unit that is down is not to stop it.
        start_due: is_down(properties) && properties.job().is_some(),
        active_state: active_state(properties),
        frozen: properties.frozen() == Some(true),
        masked: properties.text("LoadState") == Some("masked"),
        sub_state: properties.text("SubState").unwrap_or("dead").to_owned(),
        result: result(properties),
        main_pid: properties.u32("MainPID").filter(|pid| *pid > 0),
        invocation: properties.invocation(),
        since: since::of(properties),
        restarts: properties.u32("NRestarts"),
        enabled: properties
            .text("UnitFileState")
            .map(|state| matches!(state, "enabled" | "enabled-runtime")),
        status_text: properties.text("StatusText").map(ToOwned::to_owned),
        resources,
    }
}

/// `Result` says `success` from the beginning; it means something once the unit has run.
fn result(properties: &Properties) -> Option<ServiceResult> {
    let has_run = properties.monotonic("InactiveEnterTimestampMonotonic").is_some()
        || properties.monotonic("ExecMainExitTimestampMonotonic").is_some();
    properties.text("Result").filter(|_| has_run).map(ServiceResult::from)
}

#[cfg(test)]
mod tests;
