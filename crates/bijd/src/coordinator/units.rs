//! The service manager that a coordinator works with.

use bij_core::port::{EitherUnits, NoUnits};
use bij_systemd::SystemdUnits;

use bij_hook::{FOREIGN_ROOT, is_foreign_root, runtime_scope};
use bij_host::HostContext;

/// PID 1, or a user's own; or nobody: where the tree is not the machine's own, its manager does not
/// run, and nobody else's is touched.
pub(super) type Units = EitherUnits<SystemdUnits, NoUnits>;

/// The manager of a place; connected to when it is first asked.
pub(super) fn units(host: &HostContext) -> Units {
    if is_foreign_root(host) {
        EitherUnits::Other(NoUnits(FOREIGN_ROOT))
    } else {
        EitherUnits::One(SystemdUnits::unconnected(runtime_scope(host)))
    }
}
