//! How a main process ended: systemd's variables about it, and the meaning of systemd's own exit codes (systemd.exec(5)).

use std::str::FromStr as _;

use bij_core::Exit;
use nix::sys::signal::Signal;

/// The first and last real-time signal by glibc's numbers, which systemd's names follow.
const SIGRTMIN: i32 = 34;
const SIGRTMAX: i32 = 64;

/// Parses the two variables; `None` if the main process never ran, or for unknown words.
pub(crate) fn parse_exit(code: Option<&str>, status: Option<&str>) -> Option<Exit> {
    let status = status?;
    match code? {
        "exited" => status.parse().ok().map(Exit::Code),
        "killed" => parse_signal(status).map(Exit::Signal),
        "dumped" => parse_signal(status).map(Exit::CoreDump),
        _ => None,
    }
}

/// Parses a signal: a name with or without `SIG`, or a number.
fn parse_signal(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let name = text.strip_prefix("SIG").unwrap_or(text);
    if let Some(offset) = name.strip_prefix("RTMIN") {
        let offset = if offset.is_empty() { 0 } else { offset.strip_prefix('+')?.parse().ok()? };
        return (0..=SIGRTMAX - SIGRTMIN).contains(&offset).then_some(SIGRTMIN + offset);
    }
    Signal::from_str(&format!("SIG{name}")).ok().map(|signal| signal as i32)
}

/// Returns the name of a signal: `SIGKILL`, `SIGRTMIN+3`.
pub(crate) fn signal_name(signal: i32) -> String {
    match Signal::try_from(signal) {
        Ok(known) => known.as_str().to_owned(),
        Err(_) if (SIGRTMIN..=SIGRTMAX).contains(&signal) => {
            format!("SIGRTMIN+{}", signal - SIGRTMIN)
        }
        Err(_) => format!("signal {signal}"),
    }
}

/// Returns the name of a status and what failed, as a fragment.
///
/// It applies only if the process failed during systemd's setup; a program may exit with the same number for another
/// reason.
pub(crate) fn status_meaning(status: i32) -> Option<&'static str> {
    Some(match status {
        200 => "CHDIR: changing to the working directory failed",
        201 => "NICE: setting the scheduling priority failed",
        202 => "FDS: closing or adjusting file descriptors failed",
        203 => "EXEC: executing the command failed",
        204 => "MEMORY: not enough memory for the start",
        205 => "LIMITS: setting resource limits failed",
        206 => "OOM_ADJUST: setting the OOM score failed",
        207 => "SIGNAL_MASK: setting the signal mask failed",
        208 => "STDIN: setting up standard input failed",
        209 => "STDOUT: setting up standard output failed",
        210 => "CHROOT: changing the root directory failed",
        211 => "IOPRIO: setting the I/O priority failed",
        212 => "TIMERSLACK: setting the timer slack failed",
        213 => "SECUREBITS: setting the secure bits failed",
        214 => "SETSCHEDULER: setting the CPU scheduling policy failed",
        215 => "CPUAFFINITY: setting the CPU affinity failed",
        216 => "GROUP: the group is unknown or could not be set",
        217 => "USER: the user is unknown or could not be set",
        218 => "CAPABILITIES: dropping capabilities failed",
        219 => "CGROUP: entering the control group failed",
        220 => "SETSID: making a session of its own failed",
        221 => "CONFIRM: the execution was cancelled at the console",
        222 => "STDERR: setting up standard error failed",
        224 => "PAM: setting up the PAM session failed",
        225 => "NETWORK: setting up the network namespace failed",
        226 => "NAMESPACE: setting up mounts or namespaces failed",
        227 => "NO_NEW_PRIVILEGES: forbidding new privileges failed",
        228 => "SECCOMP: applying system call filters failed",
        229 => "SELINUX_CONTEXT: changing the SELinux context failed",
        230 => "PERSONALITY: setting the execution domain failed",
        231 => "APPARMOR_PROFILE: changing the AppArmor profile failed",
        232 => "ADDRESS_FAMILIES: restricting address families failed",
        233 => "RUNTIME_DIRECTORY: making the runtime directory failed",
        235 => "CHOWN: changing a socket's owner failed",
        236 => "SMACK_PROCESS_LABEL: setting the SMACK label failed",
        237 => "KEYRING: setting up the kernel keyring failed",
        238 => "STATE_DIRECTORY: making the state directory failed",
        239 => "CACHE_DIRECTORY: making the cache directory failed",
        240 => "LOGS_DIRECTORY: making the log directory failed",
        241 => "CONFIGURATION_DIRECTORY: making the configuration directory failed",
        242 => "NUMA_POLICY: setting the NUMA policy failed",
        243 => "CREDENTIALS: setting up credentials failed",
        245 => "BPF: applying BPF restrictions failed",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_variables_of_systemd_are_parsed() {
        for (code, status, exit) in [
            ("exited", "0", Exit::Code(0)),
            ("exited", "203", Exit::Code(203)),
            ("killed", "KILL", Exit::Signal(9)),
            ("killed", "SIGTERM", Exit::Signal(15)),
            ("killed", "RTMIN+3", Exit::Signal(37)),
            ("killed", "9", Exit::Signal(9)),
            ("dumped", "SEGV", Exit::CoreDump(11)),
        ] {
            assert_eq!(parse_exit(Some(code), Some(status)), Some(exit), "{code} {status}");
        }
    }

    #[test]
    fn missing_or_unknown_variables_have_no_exit() {
        for (code, status) in [
            (None, None),
            (Some("exited"), None),
            (Some("exited"), Some("many")),
            (Some("killed"), Some("FOO")),
            (Some("killed"), Some("RTMIN+99")),
            (Some("eaten"), Some("0")),
        ] {
            assert_eq!(parse_exit(code, status), None);
        }
    }

    #[test]
    fn signals_are_named_for_people() {
        assert_eq!(signal_name(9), "SIGKILL");
        assert_eq!(signal_name(37), "SIGRTMIN+3");
        assert_eq!(signal_name(99), "signal 99");
    }

    #[test]
    fn systemds_numbers_have_a_meaning_and_others_have_none() {
        assert_eq!(status_meaning(203), Some("EXEC: executing the command failed"));
        assert!(status_meaning(217).unwrap().starts_with("USER:"));
        for none in [0, 1, 78, 199, 223, 234, 255] {
            assert_eq!(status_meaning(none), None, "{none}");
        }
    }
}
