//! systemd notes `WatchdogSec=` when a start begins and keeps to that through a reload in its midst
//! (tried on 252): without a word from us the first life of a new definition would fall silent unheard.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use bij_core::TimeSpan;

/// Tells the service manager how often heartbeats are due in the life that begins; none: never.
///
/// # Errors
/// When the manager's notification socket cannot be written to.
pub(super) fn set(socket: &str, watchdog: Option<TimeSpan>) -> io::Result<()> {
    let address = match socket.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(OsStr::new(name).as_bytes())?,
        None => SocketAddr::from_pathname(socket)?,
    };
    let micros = watchdog.map_or(0, TimeSpan::as_micros);
    UnixDatagram::unbound()?
        .send_to_addr(format!("WATCHDOG_USEC={micros}").as_bytes(), &address)
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manager_hears_when_heartbeats_are_due() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let mut buffer = [0; 64];
        set(path.to_str().unwrap(), "3s".parse().ok()).unwrap();
        let length = manager.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"WATCHDOG_USEC=3000000");
        set(path.to_str().unwrap(), None).unwrap();
        let length = manager.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"WATCHDOG_USEC=0");
    }

    #[test]
    fn a_socket_that_is_gone_is_an_error() {
        assert!(set("/nonexistent/notify", None).is_err());
    }
}
