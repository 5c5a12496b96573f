//! Where an experiment's messages to the service manager go (`sd_notify(3)`).

use bij_core::definition::SandboxProfile;

use super::quote::assignment;
use super::{DropIn, UnitFile};
use crate::RuntimeScope;

/// Where PID 1 listens for messages of services, since systemd 229 (`manager_setup_notify` of its
/// manager.c).
pub const MANAGER_NOTIFY_SOCKET: &str = "/run/systemd/notify";

/// Closes PID 1's own socket to the experiment and names the filter's instead. The hooks keep it:
/// `InaccessiblePaths=` does not hold for a command with `+` (systemd.service(5), "Command lines").
///
/// Between a user's manager and units of the same user there is no boundary, so nothing is closed there.
/// Nor is it for root without a sandbox: that unit has no mount namespace of its own, and could undo it.
pub(super) fn render(drop_in: &DropIn<'_>, unit: &mut UnitFile) {
    let spec = drop_in.spec;
    let is_root = matches!(spec.user.as_deref(), Some("root" | "0"));
    let is_free = spec.sandbox == SandboxProfile::Trusted && is_root;
    if drop_in.scope == RuntimeScope::User || is_free {
        return;
    }
    let socket = drop_in.layout.notify_socket();
    unit.set("Environment", &assignment("NOTIFY_SOCKET", &socket.to_string_lossy()));
    unit.set("InaccessiblePaths", MANAGER_NOTIFY_SOCKET);
}
