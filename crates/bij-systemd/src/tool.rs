//! Running systemd's own programs.

use std::path::Path;
use std::process::Command;

use crate::RuntimeScope;

/// Where distributions put them; the second is another name of the first wherever `/usr` is merged.
const DIRECTORIES: [&str; 2] = ["/usr/bin", "/bin"];

/// By these a user's own manager and journal are found (systemctl(1), `--user`).
const SESSION: [&str; 3] = ["DBUS_SESSION_BUS_ADDRESS", "HOME", "XDG_RUNTIME_DIR"];

/// The path of a program of systemd's.
pub(crate) fn path(name: &str) -> String {
    let [first, _] = DIRECTORIES;
    let directory =
        DIRECTORIES.into_iter().find(|directory| Path::new(directory).join(name).exists());
    let directory = directory.unwrap_or(first);
    format!("{directory}/{name}")
}

/// A command that means the same whoever calls: its environment is empty but for a path, the language
/// in which its words can be told apart, and what leads to a user's own manager.
///
/// `program` is an absolute path: a program that runs as root looks none up.
pub(crate) fn command(program: &str, scope: RuntimeScope) -> Command {
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
    fn nothing_of_the_callers_environment_is_passed_on() {
        let output = command("/usr/bin/env", RuntimeScope::System).output().unwrap();
        let mut lines: Vec<_> = output.stdout.split(|byte| *byte == b'\n').collect();
        lines.retain(|line| !line.is_empty());
        lines.sort_unstable();
        assert_eq!(lines, [&b"LC_ALL=C"[..], b"PATH=/usr/sbin:/usr/bin:/sbin:/bin"]);
    }

    #[test]
    fn a_program_is_named_by_its_path_even_if_it_is_missing() {
        assert_eq!(path("no-such-program"), "/usr/bin/no-such-program");
        assert_eq!(path("env"), "/usr/bin/env");
    }
}
