//! The service managers that `bij` can use, behind one port.

mod coordinator;

use std::path::Path;

use bij_cgroup::CgroupRoot;
use bij_core::port::{EitherUnits, UnitError};
use bij_core::{ExperimentId, Layout};
use bij_local::LocalUnits;
use bij_systemd::{RuntimeScope, SettingsInForce, SystemdUnits};
use nix::unistd::geteuid;

use crate::error::CliError;
use crate::scope::Scope;
use coordinator::CoordinatorUnits;

/// The units of a scope: those of systemd, changed directly or through the coordinator, or those of
/// supervisors that run in the foreground.
pub(crate) type Units = EitherUnits<EitherUnits<SystemdUnits, CoordinatorUnits>, LocalUnits>;

/// Connects to the manager of a scope.
pub(crate) async fn connect(scope: Scope, layout: &Layout) -> Result<Units, CliError> {
    Ok(match scope {
        Scope::System => {
            let systemd = SystemdUnits::connect(RuntimeScope::System).await?;
            EitherUnits::One(if geteuid().is_root() {
                EitherUnits::One(systemd)
            } else {
                let socket = layout.coordinator_socket();
                EitherUnits::Other(CoordinatorUnits::new(systemd, socket))
            })
        }
        Scope::User => {
            let systemd = SystemdUnits::connect(RuntimeScope::User).await?;
            EitherUnits::One(EitherUnits::One(systemd))
        }
        Scope::Local => {
            let cgroups = Path::new(CgroupRoot::MOUNT_POINT);
            EitherUnits::Other(LocalUnits::new(layout.clone(), cgroups))
        }
    })
}

/// Returns the settings in force of a unit, which may override its definition; `None` without systemd.
pub(crate) async fn settings_in_force(
    units: &Units,
    id: &ExperimentId,
) -> Result<Option<SettingsInForce>, UnitError> {
    let systemd = match units {
        EitherUnits::One(EitherUnits::One(systemd)) => systemd,
        EitherUnits::One(EitherUnits::Other(through)) => through.systemd(),
        EitherUnits::Other(_) => return Ok(None),
    };
    systemd.settings_in_force(id).await.map(Some)
}

/// Returns whether `bij` must record the requester of a stop itself. Supervisors and the coordinator do
/// that: they know the requester from the kernel.
pub(crate) const fn must_record_order(units: &Units) -> bool {
    matches!(units, EitherUnits::One(EitherUnits::One(_)))
}
