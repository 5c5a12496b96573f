//! Restricts the environment of a program that runs as root.
//!
//! The unit of an experiment has no variables of the experiment. But an operator's drop-in may set some,
//! `LD_LIBRARY_PATH=` for CUDA or `PATH=` for a venv, which also apply to hooks that run as root. The template unsets
//! those that the dynamic linker and the C library read before `main` (`UnsetEnvironment=`). [`confine`] removes the
//! others before the C library and SQLite (`TMPDIR`, `TZ`, …), the bus, the runtime and the standard library read them.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use nix::unistd::geteuid;

/// Variables that systemd sets for a service and bij's programs read (systemd.exec(5), "Environment Variables in Spawned
/// Processes").
const READ: [&str; 9] = [
    "BIJ_STAMP",
    "EXIT_CODE",
    "EXIT_STATUS",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "NOTIFY_SOCKET",
    "PATH",
    "SERVICE_RESULT",
    "WATCHDOG_USEC",
];

/// Other variables that systemd sets. No code in a program that runs as root reads them, so they do not justify a second
/// execution.
const HARMLESS: [&str; 23] = [
    "CONFIGURATION_DIRECTORY",
    "CACHE_DIRECTORY",
    "CREDENTIALS_DIRECTORY",
    "FDSTORE",
    "HOME",
    "LANG",
    "LANGUAGE",
    "LOGNAME",
    "LOGS_DIRECTORY",
    "MAINPID",
    "MANAGERPID",
    "MEMORY_PRESSURE_WATCH",
    "MEMORY_PRESSURE_WRITE",
    "MONITOR_EXIT_CODE",
    "MONITOR_EXIT_STATUS",
    "MONITOR_INVOCATION_ID",
    "MONITOR_SERVICE_RESULT",
    "RUNTIME_DIRECTORY",
    "SHELL",
    "STATE_DIRECTORY",
    "SYSTEMD_EXEC_PID",
    "USER",
    "WATCHDOG_PID",
];

/// Executes this program again with only the variables that it reads, if it runs as root and there are other variables.
/// `also` are names of further variables that this program reads.
///
/// It must be called before any thread is started and any variable is read. A program that does not run as root has only
/// the rights of its caller, so it is not restricted.
///
/// # Errors
/// The error of the system if the program cannot be executed again; it must then exit.
pub fn confine(also: &[&str]) -> io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let Some(kept) = kept(env::vars_os(), also) else { return Ok(()) };
    let mut arguments = env::args_os();
    let name = arguments.next().unwrap_or_default();
    // `exec` returns only if it fails.
    let program = "/proc/self/exe";
    Err(Command::new(program).arg0(name).args(arguments).env_clear().envs(kept).exec())
}

/// Returns the variables to keep; `None` if all may stay.
fn kept(
    variables: impl Iterator<Item = (OsString, OsString)>,
    also: &[&str],
) -> Option<Vec<(OsString, OsString)>> {
    let is_in = |name: &OsString, names: &[&str]| names.iter().any(|known| name == known);
    let variables: Vec<_> = variables.collect();
    // PID 1 passes on the locale (locale.conf(5)), which bij's programs do not use.
    let locale = |name: &OsString| name.to_str().is_some_and(|name| name.starts_with("LC_"));
    let harmless = |name: &OsString| is_in(name, &HARMLESS) || locale(name);
    let known = |name: &OsString| is_in(name, &READ) || is_in(name, also) || harmless(name);
    if variables.iter().all(|(name, _)| known(name)) {
        return None;
    }
    let read = |(name, _): &(OsString, OsString)| is_in(name, &READ) || is_in(name, also);
    Some(variables.into_iter().filter(read).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(variables: &[&str], also: &[&str]) -> Option<Vec<String>> {
        let variables = variables.iter().map(|name| (OsString::from(name), OsString::from("v")));
        let kept = kept(variables, also)?;
        Some(kept.into_iter().map(|(name, _)| name.into_string().unwrap()).collect())
    }

    #[test]
    fn variables_of_systemd_cause_no_second_execution() {
        assert_eq!(names(&[&READ[..], &HARMLESS[..]].concat(), &[]), None);
        assert_eq!(names(&[], &[]), None);
        assert_eq!(names(&["MALLOC_ARENA_MAX"], &["MALLOC_ARENA_MAX"]), None);
        assert_eq!(names(&["LC_TIME"], &[]), None);
    }

    #[test]
    fn any_other_variable_leaves_only_those_that_are_read() {
        for other in ["TMPDIR", "DBUS_SYSTEM_BUS_ADDRESS", "RUST_MIN_STACK", "BIJ_LOG", "TZ"] {
            let kept = names(&["HOME", other, "INVOCATION_ID", "PATH"], &[]).unwrap();
            assert_eq!(kept, ["INVOCATION_ID", "PATH"], "{other}");
        }
    }
}
