//! The service manager of a coordinator.

use bij_core::port::{EitherUnits, NoUnits};
use bij_hook::{FOREIGN_ROOT, is_foreign_root, runtime_scope};
use bij_host::HostContext;
use bij_systemd::SystemdUnits;

/// PID 1, or the manager of a user; none if the tree is not the machine's own, because this machine's manager must not
/// be touched then.
pub(super) type Units = EitherUnits<SystemdUnits, NoUnits>;

/// Returns the manager of an installation, which is connected at the first call.
pub(super) fn units(host: &HostContext) -> Units {
    if is_foreign_root(host) {
        EitherUnits::Other(NoUnits(FOREIGN_ROOT))
    } else {
        EitherUnits::One(SystemdUnits::unconnected(runtime_scope(host)))
    }
}
