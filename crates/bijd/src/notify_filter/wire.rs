//! Receives datagrams with their sender's process, and sends datagrams in the name of another process (unix(7),
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

/// Largest message that systemd accepts (`PIPE_BUF`), in bytes.
const MESSAGE_MAX: usize = 4096;

/// The result of receiving from a socket.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// A message, and the process that sent it.
    Message(Vec<u8>, i32),
    /// `BARRIER=1`: its sender waits until the descriptor is closed (`sd_notify_barrier(3)`).
    Barrier(Passed, i32),
    /// An invalid datagram: it is too long, has other descriptors, or names no process.
    Other,
    /// The queue of the socket is empty.
    Empty,
}

/// A descriptor that was received with a message, and is closed when this is dropped.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Passed(RawFd);

impl Drop for Passed {
    fn drop(&mut self) {
        // An error of closing concerns only its sender.
        let _ = close(self.0);
    }
}

/// Makes the kernel add the credentials of the sender to each datagram.
pub(super) fn enable_credentials(socket: &impl AsFd) -> Result<(), Errno> {
    setsockopt(socket, sockopt::PassCred, &true)
}

/// Receives the next datagram without waiting.
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
    // The kernel closes descriptors that do not fit the buffer.
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
    // A process of another namespace that is not visible here has pid 0.
    Ok(match (pid.filter(|pid| *pid > 0 && is_whole && passed.is_empty()), barrier) {
        (Some(pid), None) => Received::Message(text.to_vec(), pid),
        (Some(pid), Some(barrier)) if text == b"BARRIER=1" => Received::Barrier(barrier, pid),
        _ => Received::Other,
    })
}

/// The socket of the service manager, to send to.
#[derive(Debug)]
pub(super) struct ManagerSocket {
    socket: OwnedFd,
    address: UnixAddr,
}

impl ManagerSocket {
    /// Returns the socket at `path`.
    pub(super) fn new(path: &Path) -> Result<Self, Errno> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
        Ok(Self { socket, address: UnixAddr::new(path)? })
    }

    /// Sends a message in the name of a process, without waiting.
    ///
    /// Another process than this one requires `CAP_SYS_ADMIN`. `ESRCH` means that the process has exited, `EAGAIN`
    /// that the receiver's queue is full.
    pub(super) fn send(&self, message: &str, pid: i32) -> Result<(), Errno> {
        self.send_with(message, pid, &[])
    }

    /// Sends a barrier. Returns a pipe whose other end the receiver closes when it has processed everything that was sent
    /// before.
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

    fn listen() -> (tempfile::TempDir, UnixDatagram, ManagerSocket) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        enable_credentials(&listener).unwrap();
        let manager_socket = ManagerSocket::new(&path).unwrap();
        (directory, listener, manager_socket)
    }

    #[test]
    fn a_message_comes_with_its_process() {
        let (_directory, listener, manager_socket) = listen();
        assert_eq!(receive(&listener).unwrap(), Received::Empty);
        manager_socket.send("READY=1", own_pid()).unwrap();
        let message = Received::Message(b"READY=1".to_vec(), own_pid());
        assert_eq!(receive(&listener).unwrap(), message);
    }

    #[test]
    fn a_long_message_is_dropped_whole() {
        let (_directory, listener, manager_socket) = listen();
        manager_socket.send(&"x".repeat(MESSAGE_MAX), own_pid()).unwrap();
        manager_socket.send(&"x".repeat(MESSAGE_MAX + 1), own_pid()).unwrap();
        assert!(matches!(receive(&listener).unwrap(), Received::Message(..)));
        assert_eq!(receive(&listener).unwrap(), Received::Other);
    }

    #[test]
    fn received_descriptors_are_closed() {
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
