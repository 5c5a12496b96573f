//! The service managers that `bij` can ask, behind one port.

use bij_core::Layout;
use bij_core::port::EitherUnits;
use bij_local::LocalUnits;
use bij_systemd::{RuntimeScope, SystemdUnits};

use crate::error::CliError;
use crate::scope::Scope;

/// PID 1, or a user's own systemd; or supervisors that run in the foreground somewhere else.
pub(crate) type Units = EitherUnits<SystemdUnits, LocalUnits>;

/// Connects to the manager of a scope.
pub(crate) async fn connect(scope: Scope, layout: &Layout) -> Result<Units, CliError> {
    Ok(match scope {
        Scope::System => EitherUnits::One(SystemdUnits::connect(RuntimeScope::System).await?),
        Scope::User => EitherUnits::One(SystemdUnits::connect(RuntimeScope::User).await?),
        Scope::Local => EitherUnits::Other(LocalUnits::new(layout.clone())),
    })
}
