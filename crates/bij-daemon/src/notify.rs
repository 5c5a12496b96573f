//! Words to the service manager (`sd_notify(3)`), which hears its hooks too: `NotifyAccess=all`.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Asks for so much time from now, if less than that is left, for the step that the unit is in.
///
/// Each hook has the time that the definition gives the experiment: `grace` to leave, or
/// `start_timeout` to come up. That may be a second, and a hook may have to wait longer than that
/// for a reload or for whoever else writes the ledger. `socket` is `$NOTIFY_SOCKET`.
///
/// # Errors
/// When the manager's socket cannot be written to.
pub fn ask_for_time(socket: &OsStr, time: Duration) -> io::Result<()> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    let message = format!("EXTEND_TIMEOUT_USEC={}", time.as_micros());
    UnixDatagram::unbound()?.send_to_addr(message.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manager_hears_how_much_time_is_wanted() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        ask_for_time(path.as_os_str(), Duration::from_secs(30)).unwrap();
        let mut heard = [0; 64];
        let length = manager.recv(&mut heard).unwrap();
        assert_eq!(&heard[..length], b"EXTEND_TIMEOUT_USEC=30000000");
        assert!(ask_for_time(room.path().join("none").as_os_str(), Duration::ZERO).is_err());
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
