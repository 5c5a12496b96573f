//! Datagrams with the sender's process, and datagrams in the name of another process (unix(7),
//! `SCM_CREDENTIALS`).

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd, RawFd};
use std::path::Path;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr,
    UnixCredentials, recvmsg, sendmsg, setsockopt, socket, sockopt,
};
use nix::unistd::{close, getegid, geteuid, getpid, pipe2};

/// systemd takes messages of up to `PIPE_BUF` bytes.
const MESSAGE_MAX: usize = 4096;

/// What is found in the queue of a socket.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// A message, and the process that sent it.
    Message(Vec<u8>, i32),
    /// `BARRIER=1`: its sender waits until the descriptor is closed (`sd_notify_barrier(3)`).
    Barrier(Passed, i32),
    /// A datagram that is no message: it is too long, brings other descriptors, or tells no process.
    Other,
    /// Nothing.
    Empty,
}

/// A descriptor that a message has brought; it is closed in the end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Passed(RawFd);

impl Drop for Passed {
    fn drop(&mut self) {
        // What closing it says concerns its sender.
        let _ = close(self.0);
    }
}

/// Has the kernel tell the sender of each datagram.
pub(super) fn tell_senders(socket: &impl AsFd) -> Result<(), Errno> {
    setsockopt(socket, sockopt::PassCred, &true)
}

/// Takes the next datagram without waiting.
pub(super) fn receive(socket: &impl AsFd) -> Result<Received, Errno> {
    let mut buffer = [0; MESSAGE_MAX];
    let mut control = cmsg_space!(UnixCredentials, [RawFd; 1]);
    let mut parts = [IoSliceMut::new(&mut buffer)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let descriptor = socket.as_fd().as_raw_fd();
    let received = match recvmsg::<()>(descriptor, &mut parts, Some(&mut control), flags) {
        Ok(received) => received,
        Err(Errno::EAGAIN | Errno::EINTR) => return Ok(Received::Empty),
        Err(error) => return Err(error),
    };
    let length = received.bytes;
    // The kernel closes descriptors for which no room was given.
    let truncated = MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC;
    let is_whole = !received.flags.intersects(truncated);
    let (mut passed, mut pid) = (Vec::new(), None);
    for message in received.cmsgs().into_iter().flatten() {
        match message {
            ControlMessageOwned::ScmCredentials(credentials) => pid = Some(credentials.pid()),
            ControlMessageOwned::ScmRights(descriptors) => {
                passed.extend(descriptors.into_iter().map(Passed));
            }
            _ => {}
        }
    }
    let text = &buffer[..length];
    let barrier = passed.pop();
    // A process of another namespace that cannot be seen from here is 0.
    Ok(match (pid.filter(|pid| *pid > 0 && is_whole && passed.is_empty()), barrier) {
        (Some(pid), None) => Received::Message(text.to_vec(), pid),
        (Some(pid), Some(barrier)) if text == b"BARRIER=1" => Received::Barrier(barrier, pid),
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
        self.send_with(message, pid, &[])
    }

    /// Asks the receiver to tell when it has dealt with everything that was sent before: nothing holds the
    /// other end of the pipe then.
    pub(super) fn barrier(&self) -> Result<OwnedFd, Errno> {
        let (answer, held) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        self.send_with("BARRIER=1", getpid().as_raw(), &[held.as_raw_fd()])?;
        Ok(answer)
    }

    fn send_with(&self, message: &str, pid: i32, passed: &[RawFd]) -> Result<(), Errno> {
        let credentials = UnixCredentials::from(libc::ucred {
            pid,
            uid: geteuid().as_raw(),
            gid: getegid().as_raw(),
        });
        let mut control = vec![ControlMessage::ScmCredentials(&credentials)];
        if !passed.is_empty() {
            control.push(ControlMessage::ScmRights(passed));
        }
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
        getpid().as_raw()
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
        for (text, count) in [("BARRIER=1", 1), ("BARRIER=1", 2), ("FDSTORE=1", 1)] {
            let (kept, sent) = UnixDatagram::pair().unwrap();
            let sender = UnixDatagram::unbound().unwrap();
            sender.connect(directory.path().join("notify")).unwrap();
            let descriptors = vec![sent.as_raw_fd(); count];
            let control = [ControlMessage::ScmRights(&descriptors)];
            let parts = [IoSlice::new(text.as_bytes())];
            let flags = MsgFlags::empty();
            sendmsg::<()>(sender.as_raw_fd(), &parts, &control, flags, None).unwrap();
            drop(sent);
            kept.send(b"the queue holds the other end").unwrap();
            match receive(&listener).unwrap() {
                Received::Barrier(passed, pid) => {
                    assert_eq!((text, count, pid), ("BARRIER=1", 1, own_pid()));
                    kept.send(b"the receiver holds the other end").unwrap();
                    drop(passed);
                }
                received => {
                    assert_eq!(received, Received::Other);
                    assert_ne!((text, count), ("BARRIER=1", 1));
                }
            }
            assert!(kept.send(b"nothing holds it").is_err());
        }
    }
}
