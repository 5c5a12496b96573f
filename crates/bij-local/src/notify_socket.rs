//! The socket by which an attempt speaks: `sd_notify(3)`.
//!
//! Each attempt has a socket of its own, so nobody has to be asked who is speaking. It listens like
//! `NotifyAccess=all`: Python's multiprocessing and shells notify from a child.

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram as StdUnixDatagram};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{Gid, Uid, chown};
use tokio::net::UnixDatagram;
use tokio::time::Instant;

use crate::shim::Identity;

/// Longest path in a socket's address, with its final NUL: `sun_path` of unix(7).
const SUN_PATH: usize = 108;

/// systemd reads at most `PIPE_BUF` bytes of a message.
const MESSAGE_MAX: usize = 4096;

/// More datagrams than any kernel queues for one socket (`net.unix.max_dgram_qlen`, 512 at most by
/// default).
const QUEUE_MAX: usize = 1024;

/// How often a datagram is read from an attempt that sends one after the other. The rest waits in the
/// kernel's queue, and then the attempt itself does.
const PACE: Duration = Duration::from_millis(5);

/// How many datagrams are read at once before [`PACE`] holds.
const BURST: u32 = 64;

/// What an attempt says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Ready,
    Status(String),
    /// `WATCHDOG=1`.
    Fed,
    /// `WATCHDOG=trigger`.
    FeedRefused,
}

/// An attempt's notification socket; its file goes with it.
#[derive(Debug)]
pub(crate) struct NotifySocket {
    socket: UnixDatagram,
    address: OsString,
    path: Option<PathBuf>,
    /// When a whole [`BURST`] may be read at once again.
    rested: Instant,
}

impl NotifySocket {
    /// Listens at `path`; where that is too long for an address, at an abstract name made from
    /// `unique`.
    pub(crate) fn bind(path: &Path, unique: &str, user: Option<&Identity>) -> io::Result<Self> {
        if path.as_os_str().len() >= SUN_PATH {
            let name = format!("brain-in-jar/{unique}");
            let address = SocketAddr::from_abstract_name(&name)?;
            let socket = StdUnixDatagram::bind_addr(&address)?;
            return Self::over(socket, format!("@{name}").into(), None);
        }
        remove(path)?;
        let socket = StdUnixDatagram::bind(path)?;
        if let Some(user) = user {
            chown(path, Some(Uid::from_raw(user.uid)), Some(Gid::from_raw(user.gid)))?;
        }
        Self::over(socket, path.into(), Some(path.to_owned()))
    }

    fn over(socket: StdUnixDatagram, address: OsString, path: Option<PathBuf>) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let socket = UnixDatagram::from_std(socket)?;
        Ok(Self { socket, address, path, rested: Instant::now() })
    }

    /// The value of `NOTIFY_SOCKET`.
    pub(crate) fn address(&self) -> &OsString {
        &self.address
    }

    /// Returns what the next datagram says, at the pace that is allowed to an attempt. Cancel-safe.
    ///
    /// Descriptors that come with it (`BARRIER=1`, `FDSTORE=1`) are closed by the kernel, because
    /// no room is given for them; for a barrier that is the answer that it waits for.
    pub(crate) async fn receive(&mut self) -> Vec<Message> {
        let mut buffer = [0; MESSAGE_MAX];
        tokio::time::sleep_until(self.rested - PACE * BURST).await;
        loop {
            match self.socket.recv(&mut buffer).await {
                Ok(length) => {
                    self.rested = self.rested.max(Instant::now()) + PACE;
                    return parse(&String::from_utf8_lossy(&buffer[..length]));
                }
                // A datagram socket has no other end that could fail; do not spin if it does.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// What has been said and not been heard yet.
    pub(crate) fn drain(&self) -> Vec<Message> {
        let mut buffer = [0; MESSAGE_MAX];
        let mut messages = Vec::new();
        // Bounded, for others may go on talking meanwhile.
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
            // A file that stays is replaced by the next attempt.
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

/// Reads assignments, one a line. All others are passed over, above all those by which an attempt would move
/// its own limits: `EXTEND_TIMEOUT_USEC=`, `WATCHDOG_USEC=`.
fn parse(text: &str) -> Vec<Message> {
    let assignment = |line: &str| {
        let (name, value) = line.split_once('=')?;
        Some(match (name, value) {
            ("READY", "1") => Message::Ready,
            ("STATUS", text) => Message::Status(printable(text)),
            ("WATCHDOG", "1") => Message::Fed,
            ("WATCHDOG", "trigger") => Message::FeedRefused,
            _ => return None,
        })
    };
    text.lines().filter_map(assignment).collect()
}

/// Without control characters: the text is shown on terminals.
fn printable(text: &str) -> String {
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_are_read_and_others_passed_over() {
        let text =
            "MAINPID=1\nREADY=1\nSTATUS=step 3 \x1b[31m\nFDSTORE=1\nWATCHDOG=1\n\nnonsense\n";
        let expected = [Message::Ready, Message::Status("step 3  [31m".to_owned()), Message::Fed];
        assert_eq!(parse(text), expected);
        assert_eq!(parse("WATCHDOG=trigger"), [Message::FeedRefused]);
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
        assert_eq!(socket.receive().await, [Message::Ready]);
    }

    #[tokio::test]
    async fn the_file_goes_with_the_socket() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        for _ in 0..2 {
            let mut socket = NotifySocket::bind(&path, "unused", None).unwrap();
            let sender = StdUnixDatagram::unbound().unwrap();
            sender.send_to(b"WATCHDOG=1", &path).unwrap();
            assert_eq!(socket.receive().await, [Message::Fed]);
            assert_eq!(socket.drain(), []);
            drop(socket);
            assert!(!path.exists());
        }
    }

    #[tokio::test]
    async fn a_flood_is_read_at_a_bounded_pace_and_holds_up_only_its_sender() {
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
            assert_eq!(socket.receive().await, [Message::Status("x".to_owned())]);
        }
        assert!(begun.elapsed() >= PACE * 99, "{:?}", begun.elapsed());
        drop(socket);
        flood.join().unwrap();
    }
}
