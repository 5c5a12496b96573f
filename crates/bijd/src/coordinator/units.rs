//! The service manager that a coordinator works with.

use bij_core::port::{EitherUnits, NoUnits};
use bij_hook::{ELSEWHERE, is_elsewhere, scope};
use bij_host::HostContext;
use bij_systemd::SystemdUnits;

/// PID 1, or a user's own; or nobody: where the tree is not the machine's own, its manager does not
/// run, and nobody else's is touched.
pub(super) type Units = EitherUnits<SystemdUnits, NoUnits>;

/// The manager of a place; connected to when it is first asked.
pub(super) fn units(host: &HostContext) -> Units {
    if is_elsewhere(host) {
        EitherUnits::Other(NoUnits(ELSEWHERE))
    } else {
        EitherUnits::One(SystemdUnits::unconnected(scope(host)))
    }
}
