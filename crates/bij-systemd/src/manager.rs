//! A client of a service manager, for units of any kind.

mod details;
mod list;
mod property;
mod start;
mod state_change;
mod unit_files;

use std::path::PathBuf;
use std::sync::Arc;

use bij_cgroup::{CgroupPath, CgroupRoot};
use bij_core::Resources;

use crate::bus::{Bus, call, call_if_supported};
use crate::error::Operation;
use crate::job::{JobKind, JobMode, JobRequest, JobSuccess, send_job};
use crate::properties::UnitProperties;
use crate::watch::Watch;
use crate::{ManagerError, RuntimeScope, UnitName};

pub use details::UnitDetails;
pub use list::{ListedUnit, UnitFilter};
pub use property::{Property, PropertyValue};
pub use start::StartedUnit;
pub use unit_files::{UnitFileChange, UnitFileLife};

pub(crate) use details::service_result;
#[cfg(test)]
pub(crate) use list::CGROUPS_PER_THREAD;
pub(crate) use list::{SEARCH_DEPTH, list_rows};
pub(crate) use start::is_refused_by_condition;
pub(crate) use state_change::entered_at;

/// Where a service manager is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ManagerAddress {
    /// PID 1, over the system bus at `/run/dbus/system_bus_socket`. `$DBUS_SYSTEM_BUS_ADDRESS` is ignored, so that a
    /// program that runs as root is not led to another user's bus.
    #[default]
    System,
    /// The caller's `systemd --user`, over the session bus (`$DBUS_SESSION_BUS_ADDRESS`).
    User,
    /// A manager at the other end of a Unix socket, without a bus between, such as `systemd/private` below
    /// `$XDG_RUNTIME_DIR`.
    Peer(PathBuf),
}

impl From<RuntimeScope> for ManagerAddress {
    fn from(scope: RuntimeScope) -> Self {
        match scope {
            RuntimeScope::System => Self::System,
            RuntimeScope::User => Self::User,
        }
    }
}

/// Processes of a unit that a signal is sent to (systemctl(1), `--kill-whom=`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KillWhom {
    /// The main process of a service.
    Main,
    /// The control process: of `ExecStartPre=`, `ExecReload=`, `ExecStop=` and the others.
    Control,
    /// Every process in its control group.
    #[default]
    All,
}

impl KillWhom {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Control => "control",
            Self::All => "all",
        }
    }
}

/// A client of a service manager. Clones share its connections, which are opened again after they are lost.
///
/// Every call has a time-out: 30 s, and 180 s for a reload of the manager. A method that takes a unit refuses the name
/// of a template with [`ManagerError::Template`].
#[derive(Clone, Debug)]
pub struct Manager {
    bus: Arc<Bus>,
    address: ManagerAddress,
    /// Without control groups (some containers) only the figures of resources are unknown.
    cgroups: Option<CgroupRoot>,
}

impl Manager {
    /// Connects to a manager.
    ///
    /// # Errors
    /// [`ManagerError::Unreachable`] if there is no bus, or no answer.
    pub async fn connect(address: impl Into<ManagerAddress>) -> Result<Self, ManagerError> {
        let manager = Self::unconnected(address);
        manager.bus.try_connect().await?;
        Ok(manager)
    }

    /// Creates a client that connects at the first call.
    pub fn unconnected(address: impl Into<ManagerAddress>) -> Self {
        let address = address.into();
        Self::new(Bus::new(address.clone()), address, CgroupRoot::MOUNT_POINT)
    }

    pub(crate) fn new(bus: Bus, address: ManagerAddress, cgroups: impl Into<PathBuf>) -> Self {
        Self { bus: Arc::new(bus), address, cgroups: CgroupRoot::open(cgroups).ok() }
    }

    pub(crate) fn bus(&self) -> &Bus {
        &self.bus
    }

    pub(crate) const fn cgroups(&self) -> Option<&CgroupRoot> {
        self.cgroups.as_ref()
    }

    /// Returns the address of the manager.
    pub const fn address(&self) -> &ManagerAddress {
        &self.address
    }

    /// Returns the version of systemd as it calls itself: `252.39-1~deb12u1`, `245.4-4ubuntu3.24`.
    ///
    /// # Errors
    /// [`ManagerError`] if the manager does not answer.
    pub async fn version(&self) -> Result<String, ManagerError> {
        let manager = self.bus.manager().await?;
        call(Operation::new("read the version"), manager.version()).await
    }

    /// Returns the state of the whole system or session: `running`, `degraded`, `starting`, `stopping`
    /// (`SystemState`, org.freedesktop.systemd1(5)).
    ///
    /// # Errors
    /// [`ManagerError`] if the manager does not answer.
    pub async fn system_state(&self) -> Result<String, ManagerError> {
        let manager = self.bus.manager().await?;
        call(Operation::new("inspect the manager"), manager.system_state()).await
    }

    /// Makes the manager read all unit files again and waits until it has.
    ///
    /// # Errors
    /// [`ManagerError`] if the manager does not answer, or refuses.
    pub async fn daemon_reload(&self) -> Result<(), ManagerError> {
        self.bus.reload().await
    }

    /// Runs a job of a unit to its end.
    ///
    /// # Errors
    /// [`ManagerError::Job`] if the job failed, otherwise the manager's error.
    pub async fn run_job(
        &self,
        unit: &UnitName,
        kind: JobKind,
        mode: JobMode,
    ) -> Result<JobSuccess, ManagerError> {
        let request = JobRequest::subscribe(&self.bus, unit).await?;
        let job = request.send(kind, mode).await?;
        request.wait(kind, &job).await
    }

    /// Queues a job of a unit, and does not wait for its end.
    ///
    /// # Errors
    /// [`ManagerError`] if the manager does not answer, or refuses.
    pub async fn queue_job(
        &self,
        unit: &UnitName,
        kind: JobKind,
        mode: JobMode,
    ) -> Result<(), ManagerError> {
        send_job(&self.bus, unit, kind, mode).await.map(drop)
    }

    /// Stops a unit and waits until it is down. A unit that is down already stays so.
    ///
    /// # Errors
    /// [`ManagerError::Job`] if the job failed, otherwise the manager's error.
    pub async fn stop(&self, unit: &UnitName) -> Result<JobSuccess, ManagerError> {
        let stop = || self.run_job(unit, JobKind::Stop, JobMode::default());
        match stop().await {
            // systemd 257 does not stop a frozen unit; older ones thaw it.
            Err(ManagerError::Job { result, .. }) if result.as_str() == "frozen" => {
                self.thaw(unit).await?;
                stop().await
            }
            stopped => stopped,
        }
    }

    /// Restarts a unit if it is up, and waits until it is up again.
    ///
    /// # Errors
    /// [`ManagerError::Job`] if the job failed, otherwise the manager's error.
    pub async fn try_restart(&self, unit: &UnitName) -> Result<JobSuccess, ManagerError> {
        self.run_job(unit, JobKind::TryRestart, JobMode::default()).await
    }

    /// Makes a unit read its own configuration again, and waits until it has.
    ///
    /// # Errors
    /// [`ManagerError::Job`] if the job failed, otherwise the manager's error; it refuses units that cannot be reloaded.
    pub async fn reload(&self, unit: &UnitName) -> Result<JobSuccess, ManagerError> {
        self.run_job(unit, JobKind::Reload, JobMode::default()).await
    }

    /// Sends a signal to processes of a unit; `signal` is its number (signal(7)).
    ///
    /// # Errors
    /// [`ManagerError::NotFound`] if the unit is not loaded, otherwise the manager's error; it refuses to kill a main
    /// process where there is none.
    pub async fn kill(
        &self,
        unit: &UnitName,
        whom: KillWhom,
        signal: i32,
    ) -> Result<(), ManagerError> {
        let operation = Operation::on_instance("kill", unit)?;
        let manager = self.bus.manager().await?;
        call(operation, manager.kill_unit(unit.as_str(), whom.as_str(), signal)).await
    }

    /// Freezes all processes of a unit that is up (systemctl(1), `freeze`), and waits until they are frozen.
    ///
    /// # Errors
    /// [`ManagerError::Unsupported`] before systemd 246 and on cgroup v1, otherwise the manager's error.
    pub async fn freeze(&self, unit: &UnitName) -> Result<(), ManagerError> {
        let operation = Operation::on_instance("freeze", unit)?;
        let manager = self.bus.manager().await?;
        call_if_supported(operation, FREEZER, manager.freeze_unit(unit.as_str())).await
    }

    /// Thaws all processes of a unit.
    ///
    /// # Errors
    /// [`ManagerError::Unsupported`] before systemd 246 and on cgroup v1, otherwise the manager's error.
    pub async fn thaw(&self, unit: &UnitName) -> Result<(), ManagerError> {
        let operation = Operation::on_instance("thaw", unit)?;
        let manager = self.bus.manager().await?;
        call_if_supported(operation, FREEZER, manager.thaw_unit(unit.as_str())).await
    }

    /// Resets the failed state, the count of restarts and the start limit of a unit. A unit that is not loaded has
    /// none of these.
    ///
    /// # Errors
    /// [`ManagerError`] if the manager does not answer, or refuses.
    pub async fn reset_failed(&self, unit: &UnitName) -> Result<(), ManagerError> {
        let operation = Operation::on_instance("reset", unit)?;
        let manager = self.bus.manager().await?;
        match call(operation, manager.reset_failed_unit(unit.as_str())).await {
            Err(ManagerError::NotFound { .. }) => Ok(()),
            reset => reset,
        }
    }

    /// Receives changes of the units that `selects` selects. See [`Watch`].
    pub fn watch(&self, selects: impl Fn(&UnitName) -> bool + Send + Sync + 'static) -> Watch {
        Watch::new(self.address.clone(), selects)
    }

    /// Receives changes of one unit. See [`Watch`].
    pub fn watch_unit(&self, unit: &UnitName) -> Watch {
        let unit = unit.clone();
        self.watch(move |changed| *changed == unit)
    }

    /// Reads the resources of a control group; all are unknown if it does not exist.
    pub(crate) fn resources(&self, control_group: &str) -> Resources {
        let group = control_group.parse::<CgroupPath>().ok().filter(|_| !control_group.is_empty());
        match (&self.cgroups, group) {
            (Some(root), Some(group)) => root.at(&group).read().resources,
            _ => Resources::default(),
        }
    }
}

/// What [`Manager::freeze`] takes.
pub(crate) const FREEZER: &str = "freezing takes systemd 246 and cgroup v2";

#[cfg(test)]
mod tests;
