//! A word to the service manager (`sd_notify(3)`).

use std::env;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use nix::errno::Errno;

/// Tells the manager that the program was not executed, and why. Without a manager that listens, only the
/// exit status tells.
pub(crate) fn failed(errno: Errno, sentence: &str) {
    let Some(socket) = env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) else {
        return;
    };
    let send = || -> io::Result<usize> {
        let address = match socket.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(&socket)?,
        };
        // A line break would begin another assignment.
        let sentence = sentence.replace(char::is_control, " ");
        let message = format!("ERRNO={}\nSTATUS={sentence}", errno as i32);
        UnixDatagram::unbound()?.send_to_addr(message.as_bytes(), &address)
    };
    // The exit status still says what happened.
    let _ = send();
}
