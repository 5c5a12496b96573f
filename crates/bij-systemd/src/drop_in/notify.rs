//! The route of an experiment's messages to the service manager (`sd_notify(3)`).

use bij_core::spec::SandboxProfile;

use super::quote::assignment;
use super::{DropIn, UnitFile};
use crate::RuntimeScope;

/// The socket on which PID 1 receives messages of services, since systemd 229 (`manager_setup_notify` of its
/// manager.c).
pub const MANAGER_NOTIFY_SOCKET: &str = "/run/systemd/notify";

/// Makes PID 1's socket inaccessible to the experiment and sets the filter's socket instead. The hooks keep
/// access: `InaccessiblePaths=` does not apply to a command with `+` (systemd.service(5), "Command lines").
///
/// Units of a user's manager keep the socket, because there is no boundary between that manager and units of
/// the same user. So does a unit of root without a sandbox, which could undo the restriction.
pub(super) fn render(drop_in: &DropIn<'_>, unit: &mut UnitFile) {
    let spec = drop_in.spec;
    let is_root = matches!(spec.user.as_deref(), Some("root" | "0"));
    let is_unconfined = spec.sandbox == SandboxProfile::Trusted && is_root;
    if drop_in.scope == RuntimeScope::User || is_unconfined {
        return;
    }
    let socket = drop_in.layout.notify_socket();
    unit.set("Environment", &assignment("NOTIFY_SOCKET", &socket.to_string_lossy()));
    unit.set("InaccessiblePaths", MANAGER_NOTIFY_SOCKET);
}
