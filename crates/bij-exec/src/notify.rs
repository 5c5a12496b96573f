//! Messages to the service manager (`sd_notify(3)`).
//!
//! bij-host has the sender of the other programs. This program links nothing but the system calls, so it has its own, which
//! also passes the descriptor of a barrier.

use std::env;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixDatagram;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};
use nix::unistd::pipe2;

/// How long to wait for the manager to read the messages, in milliseconds; as `systemd-notify` does.
const BARRIER_TIMEOUT_MS: u16 = 5000;

/// Reports to the manager why the program was not executed, and waits until the manager has read it: the
/// manager cannot attribute a message to a process that is gone. Without a manager there is only the exit
/// status.
pub(crate) fn report_failure(errno: Errno, message: &str) {
    let Some(socket) = env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) else {
        return;
    };
    let send_all = || -> io::Result<()> {
        let address = match socket.as_bytes().strip_prefix(b"@") {
            Some(name) => UnixAddr::new_abstract(name)?,
            None => UnixAddr::new(socket.as_os_str())?,
        };
        let socket = UnixDatagram::unbound()?;
        // A line break would begin another assignment.
        let status = message.replace(char::is_control, " ");
        let assignments = format!("ERRNO={}\nSTATUS={status}", errno as i32);
        send_message(&socket, &address, &assignments, &[])?;
        let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
        send_message(&socket, &address, "BARRIER=1", &[write.as_raw_fd()])?;
        // The manager holds the other copy.
        drop(write);
        wait_for_close(&read)
    };
    // After an error there is still the exit status.
    let _ = send_all();
}

/// Sends a message with file descriptors.
fn send_message(
    socket: &UnixDatagram,
    address: &UnixAddr,
    message: &str,
    descriptors: &[RawFd],
) -> io::Result<()> {
    let parts = [IoSlice::new(message.as_bytes())];
    let rights = ControlMessage::ScmRights(descriptors);
    let control = if descriptors.is_empty() { &[][..] } else { std::slice::from_ref(&rights) };
    let flags = MsgFlags::MSG_NOSIGNAL;
    sendmsg(socket.as_raw_fd(), &parts, control, flags, Some(address))?;
    Ok(())
}

/// Waits until the other ends of a pipe are closed: the manager closes the descriptor of `BARRIER=1` once it
/// has read all earlier messages.
fn wait_for_close(pipe: &OwnedFd) -> io::Result<()> {
    let mut watched = [PollFd::new(pipe.as_fd(), PollFlags::empty())];
    poll(&mut watched, PollTimeout::from(BARRIER_TIMEOUT_MS))?;
    Ok(())
}
