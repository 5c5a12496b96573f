//! The notification socket of an attempt: `sd_notify(3)`.
//!
//! Each attempt has its own socket, so the sender needs no check. Every process of the attempt may
//! send, as with `NotifyAccess=all`: Python's multiprocessing and shells notify from a child.

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram as StdUnixDatagram};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{Gid, Uid, chown};
use tokio::net::UnixDatagram;
use tokio::time::Instant;

use crate::shim::UserIdentity;

/// Longest path in a socket's address, with its final NUL: `sun_path` of unix(7).
const SUN_PATH: usize = 108;

/// Longest message, in bytes; systemd also reads up to `PIPE_BUF`.
const MESSAGE_MAX: usize = 4096;

/// More datagrams than any kernel queues for one socket (`net.unix.max_dgram_qlen`, 512 at most by
/// default).
const QUEUE_MAX: usize = 1024;

/// Interval at which datagrams are read from an attempt that sends without pause. The others wait in
/// the kernel's queue; when that is full, the sender waits.
const PACE: Duration = Duration::from_millis(5);

/// How many datagrams are read at once before [`PACE`] applies.
const BURST: u32 = 64;

/// A notification of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotifyMessage {
    Ready,
    Status(String),
    /// `WATCHDOG=1`.
    WatchdogPing,
    /// `WATCHDOG=trigger`.
    WatchdogTrigger,
}

/// An attempt's notification socket. Dropping it removes its file.
#[derive(Debug)]
pub(crate) struct NotifySocket {
    socket: UnixDatagram,
    address: OsString,
    path: Option<PathBuf>,
    /// When a whole [`BURST`] may be read at once again.
    rested: Instant,
}

impl NotifySocket {
    /// Binds to `path`, or to an abstract name made from `unique` if the path is too long for a
    /// socket address.
    pub(crate) fn bind(path: &Path, unique: &str, user: Option<&UserIdentity>) -> io::Result<Self> {
        if path.as_os_str().len() >= SUN_PATH {
            let name = format!("brain-in-jar/{unique}");
            let address = SocketAddr::from_abstract_name(&name)?;
            let socket = StdUnixDatagram::bind_addr(&address)?;
            return Self::from_socket(socket, format!("@{name}").into(), None);
        }
        remove(path)?;
        let socket = StdUnixDatagram::bind(path)?;
        if let Some(user) = user {
            chown(path, Some(Uid::from_raw(user.uid)), Some(Gid::from_raw(user.gid)))?;
        }
        Self::from_socket(socket, path.into(), Some(path.to_owned()))
    }

    fn from_socket(
        socket: StdUnixDatagram,
        address: OsString,
        path: Option<PathBuf>,
    ) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let socket = UnixDatagram::from_std(socket)?;
        Ok(Self { socket, address, path, rested: Instant::now() })
    }

    /// Returns the value of `NOTIFY_SOCKET`.
    pub(crate) fn address(&self) -> &OsString {
        &self.address
    }

    /// Returns the messages of the next datagram, at a bounded pace. Cancel-safe.
    ///
    /// The kernel closes descriptors that come with it (`BARRIER=1`, `FDSTORE=1`), because no buffer
    /// is given for them. A client that sent a barrier waits for exactly that.
    pub(crate) async fn receive(&mut self) -> Vec<NotifyMessage> {
        let mut buffer = [0; MESSAGE_MAX];
        tokio::time::sleep_until(self.rested - PACE * BURST).await;
        loop {
            match self.socket.recv(&mut buffer).await {
                Ok(length) => {
                    self.rested = self.rested.max(Instant::now()) + PACE;
                    return parse(&String::from_utf8_lossy(&buffer[..length]));
                }
                // A datagram socket has no peer that could fail; do not spin if it does.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Returns the messages that are still queued.
    pub(crate) fn drain(&self) -> Vec<NotifyMessage> {
        let mut buffer = [0; MESSAGE_MAX];
        let mut messages = Vec::new();
        // Bounded, because other processes may still be sending.
        for _ in 0..QUEUE_MAX {
            let Ok(length) = self.socket.try_recv(&mut buffer) else { break };
            messages.extend(parse(&String::from_utf8_lossy(&buffer[..length])));
        }
        messages
    }
}

impl Drop for NotifySocket {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // The next attempt replaces a file that stays.
            let _ = remove(path);
        }
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Parses assignments, one a line. Ignores all others, above all those by which an attempt would
/// move its own limits: `EXTEND_TIMEOUT_USEC=`, `WATCHDOG_USEC=`.
fn parse(text: &str) -> Vec<NotifyMessage> {
    let assignment = |line: &str| {
        let (name, value) = line.split_once('=')?;
        Some(match (name, value) {
            ("READY", "1") => NotifyMessage::Ready,
            ("STATUS", text) => NotifyMessage::Status(printable(text)),
            ("WATCHDOG", "1") => NotifyMessage::WatchdogPing,
            ("WATCHDOG", "trigger") => NotifyMessage::WatchdogTrigger,
            _ => return None,
        })
    };
    text.lines().filter_map(assignment).collect()
}

/// Replaces control characters, because the text is shown on terminals.
fn printable(text: &str) -> String {
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_assignments_are_parsed_and_others_ignored() {
        let text =
            "MAINPID=1\nREADY=1\nSTATUS=step 3 \x1b[31m\nFDSTORE=1\nWATCHDOG=1\n\nnonsense\n";
        let expected = [
            NotifyMessage::Ready,
            NotifyMessage::Status("step 3  [31m".to_owned()),
            NotifyMessage::WatchdogPing,
        ];
        assert_eq!(parse(text), expected);
        assert_eq!(parse("WATCHDOG=trigger"), [NotifyMessage::WatchdogTrigger]);
        assert_eq!(parse("EXTEND_TIMEOUT_USEC=5000\nWATCHDOG_USEC=0"), []);
    }

    #[tokio::test]
    async fn a_path_too_long_for_an_address_becomes_an_abstract_name() {
        let directory = tempfile::tempdir().unwrap();
        let long = directory.path().join("x".repeat(120));
        let socket = NotifySocket::bind(&long, &format!("test-{}", std::process::id()), None);
        let mut socket = socket.unwrap();
        let name = socket.address().to_str().unwrap().strip_prefix('@').unwrap().to_owned();
        let sender = StdUnixDatagram::unbound().unwrap();
        let address = SocketAddr::from_abstract_name(name).unwrap();
        sender.send_to_addr(b"READY=1", &address).unwrap();
        assert_eq!(socket.receive().await, [NotifyMessage::Ready]);
    }

    #[tokio::test]
    async fn dropping_the_socket_removes_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        for _ in 0..2 {
            let mut socket = NotifySocket::bind(&path, "unused", None).unwrap();
            let sender = StdUnixDatagram::unbound().unwrap();
            sender.send_to(b"WATCHDOG=1", &path).unwrap();
            assert_eq!(socket.receive().await, [NotifyMessage::WatchdogPing]);
            assert_eq!(socket.drain(), []);
            drop(socket);
            assert!(!path.exists());
        }
    }

    #[tokio::test]
    async fn a_flood_of_messages_is_read_at_a_bounded_pace_and_delays_only_its_sender() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let mut socket = NotifySocket::bind(&path, "unused", None).unwrap();
        let flood = std::thread::spawn(move || {
            let sender = StdUnixDatagram::unbound().unwrap();
            // It fails when the socket is gone.
            while sender.send_to(b"STATUS=x", &path).is_ok() {}
        });
        let begun = Instant::now();
        for _ in 0..BURST + 100 {
            assert_eq!(socket.receive().await, [NotifyMessage::Status("x".to_owned())]);
        }
        assert!(begun.elapsed() >= PACE * 99, "{:?}", begun.elapsed());
        drop(socket);
        flood.join().unwrap();
    }
}
