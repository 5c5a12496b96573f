//! Messages to the service manager (`sd_notify(3)`).

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use bij_core::{MonotonicTime, TimeSpan};

/// Extends the time-out of the unit's current step to at least `time` from now. `socket` is `$NOTIFY_SOCKET`.
///
/// A hook has the time that the definition gives the experiment: `grace` to stop, or `start_timeout` to start. That may be
/// a second, but a hook may have to wait longer for a reload or for another writer of the ledger.
///
/// # Errors
/// The error of the system if the message cannot be sent.
pub fn ask_for_time(socket: &OsStr, time: Duration) -> io::Result<()> {
    send(socket, &format!("EXTEND_TIMEOUT_USEC={}", time.as_micros()))
}

/// Reports why a start is refused, as the unit's `StatusText`, in one line.
pub fn report_status(socket: Option<OsString>, text: &str) {
    let line = text.replace(|c: char| c.is_control(), " ");
    ServiceNotify::new(socket).status(&line);
}

/// Sets the watchdog of the attempt that begins; `None` turns it off.
///
/// systemd reads `WatchdogSec=` when a start begins, and ignores a reload during the start (tried on 252). Without this
/// message, a changed watchdog would be in force only from the second attempt on.
///
/// # Errors
/// The error of the system if the message cannot be sent.
pub fn set_watchdog(socket: &OsStr, watchdog: Option<TimeSpan>) -> io::Result<()> {
    send(socket, &format!("WATCHDOG_USEC={}", watchdog.map_or(0, TimeSpan::as_micros)))
}

/// Reports the state of a service to its manager; does nothing without a socket.
#[derive(Debug)]
pub struct ServiceNotify {
    socket: Option<OsString>,
}

impl ServiceNotify {
    /// Returns the reporter to a socket, the value of `$NOTIFY_SOCKET`.
    pub const fn new(socket: Option<OsString>) -> Self {
        Self { socket }
    }

    /// Reports that the service has started, or has reloaded its settings.
    pub fn ready(&self) {
        self.notify("READY=1");
    }

    /// Reports that the service is reloading its settings, until [`ready`](Self::ready).
    pub fn reloading(&self, now: Option<MonotonicTime>) {
        let at = now.unwrap_or_default().as_micros();
        self.notify(&format!("RELOADING=1\nMONOTONIC_USEC={at}"));
    }

    /// Reports that the service is stopping.
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
            log::debug!("cannot notify the service manager: {error}");
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
    fn the_manager_receives_single_settings() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let receive = || {
            let mut buffer = [0; 64];
            let length = manager.recv(&mut buffer).unwrap();
            String::from_utf8_lossy(&buffer[..length]).into_owned()
        };
        let socket = path.as_os_str();
        ask_for_time(socket, Duration::from_secs(30)).unwrap();
        assert_eq!(receive(), "EXTEND_TIMEOUT_USEC=30000000");
        set_watchdog(socket, "3s".parse().ok()).unwrap();
        assert_eq!(receive(), "WATCHDOG_USEC=3000000");
        set_watchdog(socket, None).unwrap();
        assert_eq!(receive(), "WATCHDOG_USEC=0");
        assert!(set_watchdog(directory.path().join("none").as_os_str(), None).is_err());
    }

    #[test]
    fn a_service_reports_its_state_in_single_messages() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notify = ServiceNotify::new(Some(path.into_os_string()));
        notify.ready();
        notify.reloading(Some(MonotonicTime::from_micros(9)));
        notify.status("1 runs");
        let receive = || {
            let mut buffer = [0; 64];
            let length = manager.recv(&mut buffer).unwrap();
            String::from_utf8_lossy(&buffer[..length]).into_owned()
        };
        assert_eq!(receive(), "READY=1");
        assert_eq!(receive(), "RELOADING=1\nMONOTONIC_USEC=9");
        assert_eq!(receive(), "STATUS=1 runs");
        // Without a socket nothing is sent, and nothing fails.
        ServiceNotify::new(None).stopping();
    }

    #[test]
    fn an_abstract_socket_is_reached_by_its_name() {
        let name = format!("bij-host-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        ask_for_time(OsStr::new(&format!("@{name}")), Duration::from_micros(7)).unwrap();
        let mut buffer = [0; 64];
        let length = manager.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"EXTEND_TIMEOUT_USEC=7");
    }
}
