//! What the coordinator's environment says.

use std::ffi::OsString;
use std::time::Duration;

/// The part of a service's environment that matters here: what the service manager puts there
/// (`sd_notify(3)`, `sd_watchdog_enabled(3)`).
#[derive(Debug)]
pub(super) struct ServiceTold {
    /// Where the manager listens.
    pub(super) notify_socket: Option<OsString>,
    /// How often it wants to hear that we are alive.
    pub(super) watchdog: Option<Duration>,
}

impl ServiceTold {
    /// Reads the environment of the process with this id by `variable`.
    pub(super) fn read(variable: impl Fn(&str) -> Option<OsString>, pid: u32) -> Self {
        let number = |name: &str| variable(name)?.to_str()?.parse::<u64>().ok();
        // What was meant for another process was inherited.
        let ours = number("WATCHDOG_PID").is_none_or(|meant| meant == u64::from(pid));
        let watchdog = number("WATCHDOG_USEC").filter(|micros| ours && *micros > 0);
        Self {
            notify_socket: variable("NOTIFY_SOCKET").filter(|path| !path.is_empty()),
            watchdog: watchdog.map(Duration::from_micros),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pid: &'static str) -> ServiceTold {
        let variable = move |name: &str| {
            let value = match name {
                "NOTIFY_SOCKET" => "/run/systemd/notify",
                "WATCHDOG_USEC" => "30000000",
                "WATCHDOG_PID" => pid,
                _ => return None,
            };
            Some(OsString::from(value))
        };
        ServiceTold::read(variable, 7)
    }

    #[test]
    fn a_watchdog_is_ours_if_it_is_meant_for_us() {
        assert_eq!(told("7").watchdog, Some(Duration::from_secs(30)));
        assert_eq!(told("8").watchdog, None);
        assert_eq!(told("8").notify_socket, Some("/run/systemd/notify".into()));
        let alone = ServiceTold::read(|_| None, 7);
        assert_eq!((alone.watchdog, alone.notify_socket), (None, None));
    }
}
