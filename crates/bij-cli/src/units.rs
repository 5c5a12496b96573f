//! The service managers that `bij` can use, behind one port.

mod coordinator;

use std::path::Path;

use bij_cgroup::CgroupRoot;
use bij_core::port::{Started, UnitError, UnitManager};
use bij_core::{ExperimentId, Layout, Outcome, UnitStatus};
use bij_local::LocalUnits;
use bij_systemd::{RuntimeScope, SettingsInForce, SystemdUnits};
use nix::unistd::geteuid;

use crate::error::CliError;
use crate::scope::Scope;
use coordinator::CoordinatorUnits;

/// The units of a scope.
#[derive(Debug)]
pub(crate) enum Units {
    /// Units of systemd that the caller may change itself.
    Systemd(SystemdUnits),
    /// Units of systemd that are changed through the coordinator.
    Coordinator(CoordinatorUnits),
    /// Experiments of supervisors that run in the foreground.
    Local(LocalUnits),
}

/// Connects to the manager of a scope.
pub(crate) async fn connect(scope: Scope, layout: &Layout) -> Result<Units, CliError> {
    Ok(match scope {
        Scope::System => {
            let systemd = SystemdUnits::connect(RuntimeScope::System).await?;
            if geteuid().is_root() {
                Units::Systemd(systemd)
            } else {
                let socket = layout.coordinator_socket();
                Units::Coordinator(CoordinatorUnits::new(systemd, socket))
            }
        }
        Scope::User => Units::Systemd(SystemdUnits::connect(RuntimeScope::User).await?),
        Scope::Local => {
            Units::Local(LocalUnits::new(layout.clone(), Path::new(CgroupRoot::MOUNT_POINT)))
        }
    })
}

/// Returns the settings in force of a unit, which may override its definition; `None` without systemd.
pub(crate) async fn settings_in_force(
    units: &Units,
    id: &ExperimentId,
) -> Result<Option<SettingsInForce>, UnitError> {
    let systemd = match units {
        Units::Systemd(systemd) => systemd,
        Units::Coordinator(through) => through.systemd(),
        Units::Local(_) => return Ok(None),
    };
    systemd.settings_in_force(id).await.map(Some)
}

/// Returns whether `bij` must record the requester of a stop itself. Supervisors and the coordinator do
/// that: they know the requester from the kernel.
pub(crate) const fn must_record_order(units: &Units) -> bool {
    matches!(units, Units::Systemd(_))
}

/// Calls a method of the manager in use. A method of the port is a future, so no `dyn UnitManager` can choose.
macro_rules! with_manager {
    ($units:expr, $manager:ident => $call:expr) => {
        match $units {
            Units::Systemd($manager) => $call.await,
            Units::Coordinator($manager) => $call.await,
            Units::Local($manager) => $call.await,
        }
    };
}

impl UnitManager for Units {
    async fn start(&self, id: &ExperimentId) -> Result<Started, UnitError> {
        with_manager!(self, manager => manager.start(id))
    }

    async fn stop(&self, id: &ExperimentId) -> Result<Outcome, UnitError> {
        with_manager!(self, manager => manager.stop(id))
    }

    async fn restart(&self, id: &ExperimentId) -> Result<Started, UnitError> {
        with_manager!(self, manager => manager.restart(id))
    }

    async fn reset_failed(&self, id: &ExperimentId) -> Result<Outcome, UnitError> {
        with_manager!(self, manager => manager.reset_failed(id))
    }

    async fn set_enabled(&self, id: &ExperimentId, enabled: bool) -> Result<Outcome, UnitError> {
        with_manager!(self, manager => manager.set_enabled(id, enabled))
    }

    async fn status(&self, id: &ExperimentId) -> Result<UnitStatus, UnitError> {
        with_manager!(self, manager => manager.status(id))
    }

    async fn list(&self) -> Result<Vec<UnitStatus>, UnitError> {
        with_manager!(self, manager => manager.list())
    }
}
