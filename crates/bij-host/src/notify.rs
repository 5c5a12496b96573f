//! Messages to the service manager (`sd_notify(3)`).

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use bij_core::TimeSpan;

/// Asks the service manager for `time` from now, if less is left, for the step that the unit is in.
///
/// Each hook has the time that the definition gives the experiment: `grace` to leave, or `start_timeout` to come
/// up. That may be a second, and a hook may have to wait longer for a reload or for another writer of the ledger.
/// `socket` is `$NOTIFY_SOCKET`.
///
/// # Errors
/// When the manager's socket cannot be written to.
pub fn ask_for_time(socket: &OsStr, time: Duration) -> io::Result<()> {
    send(socket, &format!("EXTEND_TIMEOUT_USEC={}", time.as_micros()))
}

/// Reports in one line why a start is refused: the unit's `StatusText`.
pub fn report_status(socket: Option<OsString>, text: &str) {
    let line = text.replace(|c: char| c.is_control(), " ");
    ServiceNotify::new(socket).status(&line);
}

/// Sets how often heartbeats are due in the attempt that begins; `None` is never.
///
/// systemd reads `WatchdogSec=` when a start begins and keeps it through a reload during the start (tried on 252).
/// Without this message the watchdog of the first attempt of a changed definition would not be in force.
///
/// # Errors
/// When the manager's socket cannot be written to.
pub fn set_watchdog(socket: &OsStr, watchdog: Option<TimeSpan>) -> io::Result<()> {
    send(socket, &format!("WATCHDOG_USEC={}", watchdog.map_or(0, TimeSpan::as_micros)))
}

/// Reports the state of a service to its manager. Without a manager's socket it does nothing.
#[derive(Debug)]
pub struct ServiceNotify {
    socket: Option<OsString>,
}

impl ServiceNotify {
    /// Reports to the socket of `$NOTIFY_SOCKET`, if that is set.
    pub const fn new(socket: Option<OsString>) -> Self {
        Self { socket }
    }

    /// Reports that the service is up, or that it has read its settings again.
    pub fn ready(&self) {
        self.notify("READY=1");
    }

    /// Reports that the service reads its settings again, until it is [`ready`](Self::ready). `now` is the time of
    /// `CLOCK_MONOTONIC`.
    pub fn reloading(&self, now: Option<TimeSpan>) {
        let at = now.unwrap_or_default().as_micros();
        self.notify(&format!("RELOADING=1\nMONOTONIC_USEC={at}"));
    }

    /// Reports that the service is about to end.
    pub fn stopping(&self) {
        self.notify("STOPPING=1");
    }

    /// Sends a heartbeat (`WatchdogSec=`).
    pub fn alive(&self) {
        self.notify("WATCHDOG=1");
    }

    /// Reports one line of status for `systemctl status`.
    pub fn status(&self, line: &str) {
        self.notify(&format!("STATUS={line}"));
    }

    fn notify(&self, message: &str) {
        if let Some(socket) = &self.socket
            && let Err(error) = send(socket, message)
        {
            log::debug!("the service manager cannot be notified: {error}");
        }
    }
}

fn send(socket: &OsStr, message: &str) -> io::Result<()> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(message.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manager_hears_what_is_said() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let hear = || {
            let mut heard = [0; 64];
            let length = manager.recv(&mut heard).unwrap();
            String::from_utf8_lossy(&heard[..length]).into_owned()
        };
        let socket = path.as_os_str();
        ask_for_time(socket, Duration::from_secs(30)).unwrap();
        assert_eq!(hear(), "EXTEND_TIMEOUT_USEC=30000000");
        set_watchdog(socket, "3s".parse().ok()).unwrap();
        assert_eq!(hear(), "WATCHDOG_USEC=3000000");
        set_watchdog(socket, None).unwrap();
        assert_eq!(hear(), "WATCHDOG_USEC=0");
        assert!(set_watchdog(room.path().join("none").as_os_str(), None).is_err());
    }

    #[test]
    fn a_service_tells_how_it_is_in_single_messages() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notify = ServiceNotify::new(Some(path.into_os_string()));
        notify.ready();
        notify.reloading(Some(TimeSpan::from_micros(9)));
        notify.status("1 runs");
        let heard = || {
            let mut heard = [0; 64];
            let length = manager.recv(&mut heard).unwrap();
            String::from_utf8_lossy(&heard[..length]).into_owned()
        };
        assert_eq!(heard(), "READY=1");
        assert_eq!(heard(), "RELOADING=1\nMONOTONIC_USEC=9");
        assert_eq!(heard(), "STATUS=1 runs");
        // Nobody listens: nothing is said, and nothing fails.
        ServiceNotify::new(None).stopping();
    }

    #[test]
    fn a_socket_without_a_file_is_reached_by_its_name() {
        let name = format!("bij-host-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        ask_for_time(OsStr::new(&format!("@{name}")), Duration::from_micros(7)).unwrap();
        let mut heard = [0; 64];
        let length = manager.recv(&mut heard).unwrap();
        assert_eq!(&heard[..length], b"EXTEND_TIMEOUT_USEC=7");
    }
}
