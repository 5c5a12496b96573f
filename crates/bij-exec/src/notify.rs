//! A word to the service manager (`sd_notify(3)`).

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

/// How long the manager may take, in milliseconds, as `systemd-notify` waits.
const READ_WITHIN: u16 = 5000;

/// Tells the manager that the program was not executed, and why, and waits until it has read that: from a
/// process that is gone it would come too late. Without a manager that listens, only the exit status tells.
pub(crate) fn failed(errno: Errno, sentence: &str) {
    let Some(socket) = env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) else {
        return;
    };
    let send = || -> io::Result<()> {
        let address = match socket.as_bytes().strip_prefix(b"@") {
            Some(name) => UnixAddr::new_abstract(name)?,
            None => UnixAddr::new(socket.as_os_str())?,
        };
        let ours = UnixDatagram::unbound()?;
        // A line break would begin another assignment.
        let sentence = sentence.replace(char::is_control, " ");
        let message = format!("ERRNO={}\nSTATUS={sentence}", errno as i32);
        say(&ours, &address, &message, &[])?;
        let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
        say(&ours, &address, "BARRIER=1", &[write.as_raw_fd()])?;
        // The manager has the other copy.
        drop(write);
        wait_for_end(&read)
    };
    // The exit status still says what happened.
    let _ = send();
}

/// Sends a message, and these descriptors with it.
fn say(
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

/// Waits until the other ends of a pipe are closed: the manager closes what a `BARRIER=1` brings once it has
/// read all that was sent before.
fn wait_for_end(pipe: &OwnedFd) -> io::Result<()> {
    let mut watched = [PollFd::new(pipe.as_fd(), PollFlags::empty())];
    poll(&mut watched, PollTimeout::from(READ_WITHIN))?;
    Ok(())
}
