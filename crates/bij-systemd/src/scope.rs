//! The service manager that is called: its scope, and its command-line programs.

use std::path::Path;
use std::process::Command;

/// A service manager: PID 1, or that of a user. systemd calls this the "runtime scope".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RuntimeScope {
    /// PID 1.
    #[default]
    System,
    /// The caller's `systemd --user`.
    User,
}

impl RuntimeScope {
    /// Returns the option that selects this manager in systemctl(1) and journalctl(1).
    pub const fn option(self) -> &'static str {
        match self {
            Self::System => "--system",
            Self::User => "--user",
        }
    }
}

/// Where distributions install them. Where `/usr` is merged, both are the same directory.
const DIRECTORIES: [&str; 2] = ["/usr/bin", "/bin"];

/// Environment variables that lead to a user's manager and journal (systemctl(1), `--user`).
const SESSION: [&str; 3] = ["DBUS_SESSION_BUS_ADDRESS", "HOME", "XDG_RUNTIME_DIR"];

/// Returns the absolute path of one of systemd's programs.
pub(crate) fn tool_path(name: &str) -> String {
    let [first, _] = DIRECTORIES;
    let directory =
        DIRECTORIES.into_iter().find(|directory| Path::new(directory).join(name).exists());
    let directory = directory.unwrap_or(first);
    format!("{directory}/{name}")
}

/// Returns a command whose effect does not depend on the caller's environment: it gets a fixed `PATH`, the
/// C locale, so that its output can be parsed, and the variables that lead to a user's manager.
///
/// `program` must be an absolute path, because callers may run as root and must not search `PATH`.
pub(crate) fn tool_command(program: &str, scope: RuntimeScope) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C");
    if scope == RuntimeScope::User {
        let session = SESSION.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        command.envs(session);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_environment_is_not_passed_on() {
        let output = tool_command("/usr/bin/env", RuntimeScope::System).output().unwrap();
        let mut lines: Vec<_> = output.stdout.split(|byte| *byte == b'\n').collect();
        lines.retain(|line| !line.is_empty());
        lines.sort_unstable();
        assert_eq!(lines, [&b"LC_ALL=C"[..], b"PATH=/usr/sbin:/usr/bin:/sbin:/bin"]);
    }

    #[test]
    fn a_missing_program_still_gets_an_absolute_path() {
        assert_eq!(tool_path("no-such-program"), "/usr/bin/no-such-program");
        assert_eq!(tool_path("env"), "/usr/bin/env");
    }
}
