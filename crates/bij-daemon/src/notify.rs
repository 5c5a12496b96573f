//! Words to the service manager (`sd_notify(3)`), which hears its hooks too: `NotifyAccess=all`.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use bij_core::TimeSpan;

/// Asks for so much time from now, if less than that is left, for the step that the unit is in.
///
/// Each hook has the time that the definition gives the experiment: `grace` to leave, or
/// `start_timeout` to come up. That may be a second, and a hook may have to wait longer than that
/// for a reload or for whoever else writes the ledger. `socket` is `$NOTIFY_SOCKET`.
///
/// # Errors
/// When the manager's socket cannot be written to.
pub fn ask_for_time(socket: &OsStr, time: Duration) -> io::Result<()> {
    say(socket, &format!("EXTEND_TIMEOUT_USEC={}", time.as_micros()))
}

/// Tells the service manager, in one line, why a start must not be: the unit's `StatusText`.
pub fn tell_status(socket: Option<OsString>, text: &str) {
    let line = text.replace(|c: char| c.is_control(), " ");
    ServiceNotify::to(socket).status(&line);
}

/// Tells how often heartbeats are due in the life that begins; none: never.
///
/// systemd notes `WatchdogSec=` when a start begins and keeps to that through a reload in its midst
/// (tried on 252): without a word from us the first life of a new definition would fall silent
/// unheard.
pub(crate) fn set_watchdog(socket: &OsStr, watchdog: Option<TimeSpan>) -> io::Result<()> {
    say(socket, &format!("WATCHDOG_USEC={}", watchdog.map_or(0, TimeSpan::as_micros)))
}

/// What a service tells its manager about itself; nothing where no manager listens.
#[derive(Debug)]
pub(crate) struct ServiceNotify {
    socket: Option<OsString>,
}

impl ServiceNotify {
    /// To the manager behind `$NOTIFY_SOCKET`, if that is set.
    pub(crate) const fn to(socket: Option<OsString>) -> Self {
        Self { socket }
    }

    /// It is up.
    pub(crate) fn ready(&self) {
        self.tell("READY=1");
    }

    /// It reads its settings anew, until it is [`ready`](Self::ready) again.
    pub(crate) fn reloading(&self, since_boot: Option<TimeSpan>) {
        let at = since_boot.unwrap_or_default().as_micros();
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={at}"));
    }

    /// It is about to end.
    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// It is alive: `WatchdogSec=`.
    pub(crate) fn alive(&self) {
        self.tell("WATCHDOG=1");
    }

    /// What it does, in a line for `systemctl status`.
    pub(crate) fn status(&self, line: &str) {
        self.tell(&format!("STATUS={line}"));
    }

    fn tell(&self, message: &str) {
        if let Some(socket) = &self.socket
            && let Err(error) = say(socket, message)
        {
            log::debug!("the service manager does not hear: {error}");
        }
    }
}

fn say(socket: &OsStr, message: &str) -> io::Result<()> {
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
        let notify = ServiceNotify::to(Some(path.into_os_string()));
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
        ServiceNotify::to(None).stopping();
    }

    #[test]
    fn a_socket_without_a_file_is_reached_by_its_name() {
        let name = format!("bij-daemon-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        ask_for_time(OsStr::new(&format!("@{name}")), Duration::from_micros(7)).unwrap();
        let mut heard = [0; 64];
        let length = manager.recv(&mut heard).unwrap();
        assert_eq!(&heard[..length], b"EXTEND_TIMEOUT_USEC=7");
    }
}
