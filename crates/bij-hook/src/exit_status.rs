//! How the main process ended, from `$EXIT_CODE` and `$EXIT_STATUS` (systemd.exec(5)).

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
}
