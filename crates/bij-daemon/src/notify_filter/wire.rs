//! Datagrams with the sender's process, and datagrams in the name of another process (unix(7),
//! `SCM_CREDENTIALS`).

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::path::Path;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr,
    UnixCredentials, recvmsg, sendmsg, setsockopt, socket, sockopt,
};
use nix::unistd::{getegid, geteuid};

/// systemd takes messages of up to `PIPE_BUF` bytes.
const MESSAGE_MAX: usize = 4096;

/// What is found in the queue of a socket.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// A message, and the process that sent it.
    Message(Vec<u8>, i32),
    /// A datagram that is no message: it is too long, brings descriptors, or tells no process.
    ///
    /// The kernel closes descriptors for which no room is given. For `BARRIER=1` that is the answer that
    /// its sender waits for, and it comes when everything that was sent before has been dealt with.
    Other,
    /// Nothing.
    Empty,
}

/// Has the kernel tell the sender of each datagram.
pub(super) fn tell_senders(socket: &impl AsFd) -> Result<(), Errno> {
    setsockopt(socket, sockopt::PassCred, &true)
}

/// Takes the next datagram without waiting.
pub(super) fn receive(socket: &impl AsFd) -> Result<Received, Errno> {
    let mut buffer = [0; MESSAGE_MAX];
    let mut control = cmsg_space!(UnixCredentials);
    let mut parts = [IoSliceMut::new(&mut buffer)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let descriptor = socket.as_fd().as_raw_fd();
    let received = match recvmsg::<()>(descriptor, &mut parts, Some(&mut control), flags) {
        Ok(received) => received,
        Err(Errno::EAGAIN | Errno::EINTR) => return Ok(Received::Empty),
        Err(error) => return Err(error),
    };
    let length = received.bytes;
    let truncated = MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC;
    if received.flags.intersects(truncated) {
        return Ok(Received::Other);
    }
    let pid = received.cmsgs().ok().and_then(|mut messages| {
        messages.find_map(|message| match message {
            ControlMessageOwned::ScmCredentials(credentials) => Some(credentials.pid()),
            _ => None,
        })
    });
    // A process of another namespace that cannot be seen from here is 0.
    Ok(match pid {
        Some(pid) if pid > 0 => Received::Message(buffer[..length].to_vec(), pid),
        _ => Received::Other,
    })
}

/// The way to the service manager.
#[derive(Debug)]
pub(super) struct Outlet {
    socket: OwnedFd,
    address: UnixAddr,
}

impl Outlet {
    /// Sends to the socket at `path`.
    pub(super) fn to(path: &Path) -> Result<Self, Errno> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
        Ok(Self { socket, address: UnixAddr::new(path)? })
    }

    /// Sends a message in the name of a process, without waiting.
    ///
    /// For another process than this one that takes `CAP_SYS_ADMIN`. `ESRCH` means that the process has
    /// gone, `EAGAIN` that the receiver has no room.
    pub(super) fn send(&self, message: &str, pid: i32) -> Result<(), Errno> {
        let credentials = UnixCredentials::from(libc::ucred {
            pid,
            uid: geteuid().as_raw(),
            gid: getegid().as_raw(),
        });
        let control = [ControlMessage::ScmCredentials(&credentials)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let parts = [IoSlice::new(message.as_bytes())];
        let descriptor = self.socket.as_raw_fd();
        sendmsg(descriptor, &parts, &control, flags, Some(&self.address)).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;
    use std::os::unix::net::UnixDatagram;

    use super::*;

    fn own_pid() -> i32 {
        nix::unistd::getpid().as_raw()
    }

    fn listen() -> (tempfile::TempDir, UnixDatagram, Outlet) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        tell_senders(&listener).unwrap();
        let outlet = Outlet::to(&path).unwrap();
        (directory, listener, outlet)
    }

    #[test]
    fn a_message_tells_its_process() {
        let (_directory, listener, outlet) = listen();
        assert_eq!(receive(&listener).unwrap(), Received::Empty);
        outlet.send("READY=1", own_pid()).unwrap();
        let message = Received::Message(b"READY=1".to_vec(), own_pid());
        assert_eq!(receive(&listener).unwrap(), message);
    }

    #[test]
    fn a_long_message_is_dropped_whole() {
        let (_directory, listener, outlet) = listen();
        outlet.send(&"x".repeat(MESSAGE_MAX), own_pid()).unwrap();
        outlet.send(&"x".repeat(MESSAGE_MAX + 1), own_pid()).unwrap();
        assert!(matches!(receive(&listener).unwrap(), Received::Message(..)));
        assert_eq!(receive(&listener).unwrap(), Received::Other);
    }

    #[test]
    fn descriptors_that_come_along_are_closed() {
        let (directory, listener, _outlet) = listen();
        let (kept, sent) = UnixDatagram::pair().unwrap();
        let sender = UnixDatagram::unbound().unwrap();
        sender.connect(directory.path().join("notify")).unwrap();
        let descriptors = [sent.as_raw_fd()];
        let control = [ControlMessage::ScmRights(&descriptors)];
        let parts = [IoSlice::new(b"BARRIER=1")];
        sendmsg::<()>(sender.as_raw_fd(), &parts, &control, MsgFlags::empty(), None).unwrap();
        drop(sent);
        kept.send(b"somebody holds the other end").unwrap();
        assert_eq!(receive(&listener).unwrap(), Received::Other);
        assert!(kept.send(b"nobody holds it").is_err());
    }
}
