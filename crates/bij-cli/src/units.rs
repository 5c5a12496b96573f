//! The service managers that `bij` can ask, behind one port.

mod through_coordinator;

use bij_core::port::{EitherUnits, UnitError};
use bij_core::{ExperimentId, Layout};
use bij_local::LocalUnits;
use bij_systemd::{RuntimeScope, SettingsInForce, SystemdUnits};

use nix::unistd::geteuid;

use crate::error::CliError;
use crate::scope::Scope;
use through_coordinator::ThroughCoordinator;

/// PID 1, or a user's own systemd, asked directly or through the coordinator; or supervisors that run in
/// the foreground somewhere else.
pub(crate) type Units = EitherUnits<EitherUnits<SystemdUnits, ThroughCoordinator>, LocalUnits>;

/// Connects to the manager of a scope.
pub(crate) async fn connect(scope: Scope, layout: &Layout) -> Result<Units, CliError> {
    Ok(match scope {
        Scope::System => {
            let systemd = SystemdUnits::connect(RuntimeScope::System).await?;
            EitherUnits::One(if geteuid().is_root() {
                EitherUnits::One(systemd)
            } else {
                let socket = layout.coordinator_socket();
                EitherUnits::Other(ThroughCoordinator::new(systemd, socket))
            })
        }
        Scope::User => {
            let systemd = SystemdUnits::connect(RuntimeScope::User).await?;
            EitherUnits::One(EitherUnits::One(systemd))
        }
        Scope::Local => EitherUnits::Other(LocalUnits::new(layout.clone())),
    })
}

/// Returns the settings of a unit that are in force, where a manager can override those of its definition.
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

/// Whether `bij` itself puts down who ends an experiment before it has one stopped. Supervisors and the
/// coordinator do that by themselves: they know from the kernel who asks.
pub(crate) const fn puts_down_orders(units: &Units) -> bool {
    matches!(units, EitherUnits::One(EitherUnits::One(_)))
}
