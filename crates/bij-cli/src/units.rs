//! The service managers that `bij` can use, behind one port.

mod coordinator;

use bij_core::port::{EitherUnits, UnitError};
use bij_core::{ExperimentId, Layout, Order};
use bij_definitions::{OrderFiles, write_order};
use bij_local::LocalUnits;
use bij_systemd::{RuntimeScope, SettingsInForce, SystemdUnits};
use nix::unistd::{Uid, User, geteuid, getuid};

use crate::error::CliError;
use crate::scope::Scope;
use coordinator::CoordinatorUnits;

/// The units of a scope: those of systemd, changed directly or through the coordinator, or those of
/// supervisors that run in the foreground.
pub(crate) type ScopeUnits = EitherUnits<EitherUnits<SystemdUnits, CoordinatorUnits>, LocalUnits>;

/// Connects to the manager of a scope.
pub(crate) async fn connect(scope: Scope, layout: &Layout) -> Result<ScopeUnits, CliError> {
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
        Scope::Local => EitherUnits::Other(LocalUnits::new(layout.clone())),
    })
}

/// Returns the settings in force of a unit, which may override its definition; `None` without systemd.
pub(crate) async fn settings_in_force(
    units: &ScopeUnits,
    id: &ExperimentId,
) -> Result<Option<SettingsInForce>, UnitError> {
    let systemd = match units {
        EitherUnits::One(EitherUnits::One(systemd)) => systemd,
        EitherUnits::One(EitherUnits::Other(through)) => through.systemd(),
        EitherUnits::Other(_) => return Ok(None),
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
    matches!(units, EitherUnits::One(EitherUnits::One(_)))
        .then(|| write_order(layout, id, &Order::stop(format!("{request} by {}", caller()))))
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
