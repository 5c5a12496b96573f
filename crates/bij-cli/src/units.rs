//! The service managers that `bij` can use, behind one port.

mod coordinator;

use std::path::Path;

use bij_cgroup::CgroupRoot;
use bij_core::port::{Started, UnitError, UnitManager};
use bij_core::{ExperimentId, Layout, Order, Outcome, UnitStatus};
use bij_definition::{OrderFiles, write_order};
use bij_local::LocalUnits;
use bij_systemd::RuntimeScope;
use bij_systemd::experiment::{SettingsInForce, SystemdUnits};
use nix::unistd::{Uid, User, geteuid, getuid};

use crate::error::CliError;
use crate::scope::Scope;
use coordinator::CoordinatorUnits;

/// The units of a scope.
#[derive(Debug)]
pub(crate) enum ScopeUnits {
    /// Units of systemd that the caller may change itself.
    Systemd(SystemdUnits),
    /// Units of systemd that are changed through the coordinator.
    Coordinator(CoordinatorUnits),
    /// Experiments of supervisors that run in the foreground.
    Local(LocalUnits),
}

/// Connects to the manager of a scope.
pub(crate) async fn connect(scope: Scope, layout: &Layout) -> Result<ScopeUnits, CliError> {
    Ok(match scope {
        Scope::System => {
            let systemd = SystemdUnits::connect(RuntimeScope::System).await?;
            if geteuid().is_root() {
                ScopeUnits::Systemd(systemd)
            } else {
                let socket = layout.coordinator_socket();
                ScopeUnits::Coordinator(CoordinatorUnits::new(systemd, socket))
            }
        }
        Scope::User => ScopeUnits::Systemd(SystemdUnits::connect(RuntimeScope::User).await?),
        Scope::Local => {
            ScopeUnits::Local(LocalUnits::new(layout.clone(), Path::new(CgroupRoot::MOUNT_POINT)))
        }
    })
}

/// Returns the settings in force of a unit, which may override its definition; `None` without systemd.
pub(crate) async fn settings_in_force(
    units: &ScopeUnits,
    id: &ExperimentId,
) -> Result<Option<SettingsInForce>, UnitError> {
    let systemd = match units {
        ScopeUnits::Systemd(systemd) => systemd,
        ScopeUnits::Coordinator(through) => through.systemd(),
        ScopeUnits::Local(_) => return Ok(None),
    };
    systemd.settings_in_force(id).await.map(Some)
}

/// Writes the order to stop an experiment with its requester, for example `bij stop by alice`. Returns `None` if the units
/// are changed by a supervisor or by the coordinator: these write it themselves and know the requester from the kernel.
pub(crate) fn record_stop(
    units: &ScopeUnits,
    layout: &Layout,
    id: &ExperimentId,
    request: &str,
) -> Option<OrderFiles> {
    matches!(units, ScopeUnits::Systemd(_))
        .then(|| write_order(layout, id, &Order::stop(format!("{request} by {}", caller()))))
}

/// Calls a method of the manager in use. A method of the port is a future, so no `dyn UnitManager` can choose.
macro_rules! with_manager {
    ($units:expr, $manager:ident => $call:expr) => {
        match $units {
            ScopeUnits::Systemd($manager) => $call.await,
            ScopeUnits::Coordinator($manager) => $call.await,
            ScopeUnits::Local($manager) => $call.await,
        }
    };
}

impl UnitManager for ScopeUnits {
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

/// Returns the user behind this process, as the ledger records users: `alice (uid 1000)`. Under sudo it is the
/// user that called sudo.
pub(crate) fn caller() -> String {
    let caller = std::env::var("SUDO_UID").ok().and_then(|uid| uid.parse().ok());
    let uid = caller.filter(|_| geteuid().is_root()).map_or_else(getuid, Uid::from_raw);
    match User::from_uid(uid) {
        Ok(Some(user)) => format!("{} (uid {uid})", user.name),
        Ok(None) | Err(_) => format!("uid {uid}"),
    }
}
