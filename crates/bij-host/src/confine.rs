//! What a program of ours keeps of its environment when it runs as root.
//!
//! The unit of an experiment carries no variable of the experiment. An operator's own drop-in may carry
//! some, `LD_LIBRARY_PATH=` for CUDA or `PATH=` for a venv, and they too hold for hooks that run as root.
//! The template takes away what the dynamic linker and the C library would read before `main`
//! (`UnsetEnvironment=`); [`confine`] takes away the rest before anything reads it: the C library and
//! SQLite (`TMPDIR`, `TZ`, …), the bus, the runtime and the standard library.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use nix::unistd::geteuid;

/// What systemd says to a service that it starts, and we read (systemd.exec(5), "Environment Variables in
/// Spawned Processes").
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

/// What systemd sets besides. Nothing of ours and nothing that we use reads any of it in a program that
/// runs as root, so that it is not worth a second execution.
const PASSED_OVER: [&str; 23] = [
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

/// Executes this program again with an environment of only what it reads, if it runs as root and there is
/// anything else in it. `also` are names that this program reads besides.
///
/// It must be called before any thread is started and anything is read from the environment. A program
/// that does not run as root can do no more than its caller.
///
/// # Errors
/// What the system says when the program cannot be executed again; it must not go on then.
pub fn confine(also: &[&str]) -> io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let Some(kept) = kept(env::vars_os(), also) else { return Ok(()) };
    let mut arguments = env::args_os();
    let name = arguments.next().unwrap_or_default();
    // It returns only if it fails.
    let program = "/proc/self/exe";
    Err(Command::new(program).arg0(name).args(arguments).env_clear().envs(kept).exec())
}

/// The variables to go on with; `None` if all that there are may stay.
fn kept(
    variables: impl Iterator<Item = (OsString, OsString)>,
    also: &[&str],
) -> Option<Vec<(OsString, OsString)>> {
    let is_in = |name: &OsString, names: &[&str]| names.iter().any(|known| name == known);
    let variables: Vec<_> = variables.collect();
    // PID 1 hands on the locale (locale.conf(5)); no program of ours sets one.
    let locale = |name: &OsString| name.to_str().is_some_and(|name| name.starts_with("LC_"));
    let passed_over = |name: &OsString| is_in(name, &PASSED_OVER) || locale(name);
    let known = |name: &OsString| is_in(name, &READ) || is_in(name, also) || passed_over(name);
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
    fn what_systemd_itself_sets_costs_no_second_execution() {
        assert_eq!(names(&[&READ[..], &PASSED_OVER[..]].concat(), &[]), None);
        assert_eq!(names(&[], &[]), None);
        assert_eq!(names(&["MALLOC_ARENA_MAX"], &["MALLOC_ARENA_MAX"]), None);
        assert_eq!(names(&["LC_TIME"], &[]), None);
    }

    #[test]
    fn one_other_variable_leaves_only_what_is_read() {
        for other in ["TMPDIR", "DBUS_SYSTEM_BUS_ADDRESS", "RUST_MIN_STACK", "BIJ_LOG", "TZ"] {
            let kept = names(&["HOME", other, "INVOCATION_ID", "PATH"], &[]).unwrap();
            assert_eq!(kept, ["INVOCATION_ID", "PATH"], "{other}");
        }
    }
}
