//! The service manager that is called: its scope, its command-line programs, and its directories.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bij_core::{ExperimentId, InvocationId};

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

/// Pattern that matches the unit of every experiment.
pub(crate) const EXPERIMENT_UNITS: &str = "brain-experiment@*.service";

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

/// Directories with links of enabled units, invocation ids, runtime properties, and bij's records of CPU caps.
#[derive(Clone, Debug)]
pub(crate) struct UnitDirs {
    wants: Vec<PathBuf>,
    invocations: PathBuf,
    runtime_properties: PathBuf,
    cpu_cap_records: PathBuf,
}

/// The target that wants enabled experiments: `WantedBy=` of the template.
const WANTS: &str = "brain-experiment.target.wants";
/// Directory of the records of CPU caps, below the runtime directory.
const CPU_CAP_RECORDS: &str = "brain-in-jar/bounds";

impl UnitDirs {
    /// Returns the directories of a manager (systemd.unit(5), "Unit File Load Path").
    pub(crate) fn for_scope(scope: RuntimeScope) -> Self {
        match scope {
            RuntimeScope::System => Self::below(Path::new("/")),
            RuntimeScope::User => {
                let variable = |name| std::env::var_os(name).map(PathBuf::from);
                let config = variable("XDG_CONFIG_HOME")
                    .or_else(|| variable("HOME").map(|home| home.join(".config")))
                    .unwrap_or_default();
                let runtime = variable("XDG_RUNTIME_DIR").unwrap_or_default();
                let load_paths = [config, runtime.clone(), "/etc".into()];
                Self {
                    wants: load_paths
                        .iter()
                        .map(|dir| dir.join("systemd/user").join(WANTS))
                        .collect(),
                    invocations: runtime.join("systemd/units"),
                    runtime_properties: runtime.join("systemd/user.control"),
                    cpu_cap_records: runtime.join(CPU_CAP_RECORDS),
                }
            }
        }
    }

    /// Returns the system manager's directories below a root.
    pub(crate) fn below(root: &Path) -> Self {
        let load_paths = ["etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system"];
        Self {
            wants: load_paths.iter().map(|dir| root.join(dir).join(WANTS)).collect(),
            invocations: root.join("run/systemd/units"),
            runtime_properties: root.join("run/systemd/system.control"),
            cpu_cap_records: root.join("run").join(CPU_CAP_RECORDS),
        }
    }

    /// Returns the experiments that are started at boot.
    pub(crate) fn enabled(&self) -> BTreeSet<ExperimentId> {
        let entries =
            self.wants.iter().filter_map(|dir| fs::read_dir(dir).ok()).flatten().flatten();
        entries
            .filter_map(|entry| ExperimentId::from_unit_name(entry.file_name().to_str()?))
            .collect()
    }

    /// Returns the file in which `systemctl set-property --runtime` keeps a setting of a unit
    /// (systemd.unit(5), `system.control`).
    pub(crate) fn runtime_property(&self, unit: &str, setting: &str) -> PathBuf {
        self.runtime_properties.join(format!("{unit}.d")).join(format!("50-{setting}.conf"))
    }

    /// Returns the file that records what a unit's CPU cap replaced.
    pub(crate) fn cpu_cap_record(&self, unit: &str) -> PathBuf {
        self.cpu_cap_records.join(format!("{unit}.json"))
    }

    /// Returns a unit's invocation id: the target of the link `invocation:UNIT`, which systemd removes when it
    /// unloads the unit.
    pub(crate) fn invocation(&self, unit: &str) -> Option<InvocationId> {
        let link = fs::read_link(self.invocations.join(format!("invocation:{unit}"))).ok()?;
        link.to_str()?.parse().ok()
    }
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
