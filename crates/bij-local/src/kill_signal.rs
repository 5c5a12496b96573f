//! Signals by which experiments are stopped.

use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The number of `SIGRTMIN` with glibc, which reserves the two below for its threads.
const RTMIN: i32 = 34;
/// The number of `SIGRTMAX` on Linux.
const RTMAX: i32 = 64;

/// A signal, real-time signals included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KillSignal {
    Standard(Signal),
    Realtime(i32),
}

impl KillSignal {
    /// Parses a name as it stands in definitions: `SIGTERM`, `SIGRTMIN+3`.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let offset = |rest: &str, sign: char| match rest.strip_prefix(sign) {
            Some(digits) => digits.parse::<i32>().ok(),
            None => rest.is_empty().then_some(0),
        };
        let realtime = match (name.strip_prefix("SIGRTMIN"), name.strip_prefix("SIGRTMAX")) {
            (Some(rest), _) => offset(rest, '+').map(|n| RTMIN + n),
            (_, Some(rest)) => offset(rest, '-').map(|n| RTMAX - n),
            _ => return name.parse().ok().map(Self::Standard),
        };
        realtime.filter(|number| (RTMIN..=RTMAX).contains(number)).map(Self::Realtime)
    }

    /// Sends the signal and returns how many processes received it.
    pub(crate) fn send(self, pids: &[i32]) -> usize {
        match self {
            Self::Standard(signal) => {
                pids.iter().filter(|pid| kill(Pid::from_raw(**pid), signal) == Ok(())).count()
            }
            Self::Realtime(number) => send_by_shell(number, pids),
        }
    }
}

/// Sends a real-time signal with the shell's kill: `nix` sends only signals up to 31.
fn send_by_shell(number: i32, pids: &[i32]) -> usize {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "kill \"$@\"", "sh", &format!("-{number}")]);
    shell.args(pids.iter().map(ToString::to_string));
    shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let sent = !pids.is_empty() && shell.status().is_ok_and(|status| status.success());
    if sent { pids.len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_systemd_reads_them() {
        assert_eq!(KillSignal::parse("SIGTERM"), Some(KillSignal::Standard(Signal::SIGTERM)));
        assert_eq!(KillSignal::parse("SIGRTMIN"), Some(KillSignal::Realtime(34)));
        assert_eq!(KillSignal::parse("SIGRTMIN+3"), Some(KillSignal::Realtime(37)));
        assert_eq!(KillSignal::parse("SIGRTMAX-1"), Some(KillSignal::Realtime(63)));
        for bad in ["TERM", "SIGRTMIN+31", "SIGRTMIN-1", "SIGNONE", ""] {
            assert_eq!(KillSignal::parse(bad), None, "{bad}");
        }
    }
}
