//! The environment that the service manager gives the coordinator.

use std::ffi::OsString;
use std::time::Duration;

/// The environment variables of a service that the coordinator reads (`sd_notify(3)`, `sd_watchdog_enabled(3)`).
#[derive(Debug)]
pub(super) struct ServiceEnv {
    /// The socket for messages to the manager.
    pub(super) notify_socket: Option<OsString>,
    /// The longest time between heartbeats.
    pub(super) watchdog: Option<Duration>,
}

impl ServiceEnv {
    /// Reads the variables with `variable`; `pid` is the id of this process.
    pub(super) fn read(variable: impl Fn(&str) -> Option<OsString>, pid: u32) -> Self {
        let number = |name: &str| variable(name)?.to_str()?.parse::<u64>().ok();
        // With another id, the variables were inherited from another service.
        let is_ours = number("WATCHDOG_PID").is_none_or(|meant| meant == u64::from(pid));
        let watchdog = number("WATCHDOG_USEC").filter(|micros| is_ours && *micros > 0);
        Self {
            notify_socket: variable("NOTIFY_SOCKET").filter(|path| !path.is_empty()),
            watchdog: watchdog.map(Duration::from_micros),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pid: &'static str) -> ServiceEnv {
        let variable = move |name: &str| {
            let value = match name {
                "NOTIFY_SOCKET" => "/run/systemd/notify",
                "WATCHDOG_USEC" => "30000000",
                "WATCHDOG_PID" => pid,
                _ => return None,
            };
            Some(OsString::from(value))
        };
        ServiceEnv::read(variable, 7)
    }

    #[test]
    fn a_watchdog_counts_only_for_the_process_it_names() {
        assert_eq!(env("7").watchdog, Some(Duration::from_secs(30)));
        assert_eq!(env("8").watchdog, None);
        assert_eq!(env("8").notify_socket, Some("/run/systemd/notify".into()));
        let alone = ServiceEnv::read(|_| None, 7);
        assert_eq!((alone.watchdog, alone.notify_socket), (None, None));
    }
}
