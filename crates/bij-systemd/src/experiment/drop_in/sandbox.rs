//! The boundary around an experiment: the settings of sandbox profiles that differ from the template's, which is profile
//! `default`, and the route of its messages to the service manager (`sd_notify(3)`).

use bij_core::spec::SandboxProfile;

use super::quote::assignment;
use super::{DropIn, UnitFile, path_word};
use crate::RuntimeScope;

pub(super) fn render(drop_in: &DropIn<'_>, unit: &mut UnitFile) {
    let spec = drop_in.spec;
    match (spec.sandbox, drop_in.scope) {
        (SandboxProfile::Default, _) => {}
        (SandboxProfile::Strict, RuntimeScope::System) => set_all(unit, STRICT),
        (SandboxProfile::Strict, RuntimeScope::User) => set_all(unit, STRICT_USER),
        (SandboxProfile::Trusted, RuntimeScope::System) => set_all(unit, TRUSTED),
        (SandboxProfile::Trusted, RuntimeScope::User) => set_all(unit, TRUSTED_USER),
    }
    // Units of a user's manager are not confined in the first place, nor is the trusted profile.
    let confined = drop_in.scope == RuntimeScope::System && spec.sandbox != SandboxProfile::Trusted;
    if confined {
        for path in &spec.writable {
            // Without the dash a missing path would fail the hooks too, and systemd would skip the start.
            // `bij-hook start` checks the path instead.
            unit.set("ReadWritePaths", &path_word(&format!("-{}", path.as_str())));
        }
    }
    if spec.gpu.access && drop_in.scope == RuntimeScope::System {
        gpu(drop_in, unit);
    }
}

/// Allows exactly the device nodes of this machine's GPU, beside those that a closed policy always allows. A
/// profile whose /dev is open needs only the groups.
fn gpu(drop_in: &DropIn<'_>, unit: &mut UnitFile) {
    if drop_in.gpu.is_empty() {
        unit.comment("[gpu] access: this machine has no GPU that is known here.");
        return;
    }
    let open = drop_in.spec.sandbox == SandboxProfile::Trusted;
    for (directive, value) in drop_in.gpu {
        if !open || *directive == "SupplementaryGroups" {
            unit.set(directive, value);
        }
    }
    if drop_in.spec.sandbox == SandboxProfile::Strict {
        // Drivers read /proc/driver, /proc/meminfo and /proc/sys/vm.
        unit.set("ProcSubset", "all");
    }
}

fn set_all(unit: &mut UnitFile, settings: &[(&str, &str)]) {
    for (directive, value) in settings {
        unit.set(directive, value);
    }
}

/// No network, no memory that is both writable and executable, only processes in /proc.
const STRICT: &[(&str, &str)] = &[
    ("PrivateNetwork", "yes"),
    ("PrivateUsers", "yes"),
    ("ProtectHome", "yes"),
    ("ProcSubset", "pid"),
    ("MemoryDenyWriteExecute", "yes"),
    ("RestrictAddressFamilies", ""),
    ("RestrictAddressFamilies", "AF_UNIX"),
    ("IPAddressDeny", "any"),
    ("SystemCallFilter", "~@resources"),
];

/// The part of [`STRICT`] that an unprivileged manager can apply.
const STRICT_USER: &[(&str, &str)] = &[
    ("MemoryDenyWriteExecute", "yes"),
    ("RestrictAddressFamilies", "AF_UNIX"),
    ("SystemCallFilter", "@system-service"),
    ("SystemCallFilter", "~@privileged @resources"),
    ("SystemCallErrorNumber", "EPERM"),
];

/// Reverts the template's restrictions. `DynamicUser=` implies some of them (systemd.exec(5)), which stay; a unit
/// with `user` has none.
const TRUSTED: &[(&str, &str)] = &[
    ("NoNewPrivileges", "no"),
    ("CapabilityBoundingSet", "~"),
    ("ProtectSystem", "no"),
    ("ProtectHome", "no"),
    ("PrivateTmp", "no"),
    ("PrivateDevices", "no"),
    ("PrivateMounts", "no"),
    ("DevicePolicy", "auto"),
    ("ProtectClock", "no"),
    ("ProtectControlGroups", "no"),
    ("ProtectHostname", "no"),
    ("ProtectKernelLogs", "no"),
    ("ProtectKernelModules", "no"),
    ("ProtectKernelTunables", "no"),
    ("ProtectProc", "default"),
    ("RemoveIPC", "no"),
    ("KeyringMode", "inherit"),
    ("LockPersonality", "no"),
    ("RestrictNamespaces", "no"),
    ("RestrictRealtime", "no"),
    ("RestrictSUIDSGID", "no"),
    ("RestrictAddressFamilies", ""),
    ("SystemCallArchitectures", ""),
    ("SystemCallFilter", ""),
    ("UMask", "0022"),
];

const TRUSTED_USER: &[(&str, &str)] = &[
    ("NoNewPrivileges", "no"),
    ("LockPersonality", "no"),
    ("RestrictRealtime", "no"),
    ("RestrictSUIDSGID", "no"),
    ("SystemCallArchitectures", ""),
    ("UMask", "0022"),
];

/// The socket on which PID 1 receives messages of services, since systemd 229 (`manager_setup_notify` of its
/// manager.c).
pub const MANAGER_NOTIFY_SOCKET: &str = "/run/systemd/notify";

/// Makes PID 1's socket inaccessible to the experiment and sets the filter's socket instead. The hooks keep
/// access: `InaccessiblePaths=` does not apply to a command with `+` (systemd.service(5), "Command lines").
///
/// Units of a user's manager keep the socket, because there is no boundary between that manager and units of
/// the same user. So does a unit of root without a sandbox, which could undo the restriction.
pub(super) fn route_messages(drop_in: &DropIn<'_>, unit: &mut UnitFile) {
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
