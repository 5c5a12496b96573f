//! `sd_notify(3)` without libsystemd: one datagram to the socket that `NOTIFY_SOCKET` names.

use std::error::Error;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Maximum length of a status in bytes. systemd drops messages longer than `PIPE_BUF` (4096) bytes.
const STATUS_MAX: usize = 1024;

/// The connection to the supervisor of this process.
#[derive(Debug)]
pub(crate) struct Notifier {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl Notifier {
    /// Parses `NOTIFY_SOCKET`: a path, or `@name` for a socket in the abstract namespace (unix(7)). The
    /// socket need not exist yet.
    pub(crate) fn open(address: &OsStr) -> Result<Self, NotifyError> {
        let refused =
            |source| NotifyError::Address { found: address.to_string_lossy().into(), source };
        let address = match address.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
            [b'/', ..] => SocketAddr::from_pathname(address),
            // systemd 254 and later may also name a vsock(7) address, to a virtual machine's host.
            _ => Err(io::ErrorKind::Unsupported.into()),
        };
        let address = address.map_err(refused)?;
        let socket = UnixDatagram::unbound().map_err(|source| NotifyError::Send { source })?;
        Ok(Self { socket, address })
    }

    /// Sends assignments such as `READY=1`, one per line.
    pub(crate) fn send(&self, message: &str) -> Result<(), NotifyError> {
        loop {
            match self.socket.send_to_addr(message.as_bytes(), &self.address) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(NotifyError::Send { source }),
            }
        }
    }
}

/// Returns the `STATUS=` assignment for `text`: "a single-line UTF-8 status string" (`sd_notify(3)`).
/// Control characters become blanks: a newline would begin another assignment.
pub(crate) fn status_assignment(text: &str) -> String {
    let mut line: String =
        text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.len() > STATUS_MAX {
        let boundary = (0..=STATUS_MAX).rev().find(|end| line.is_char_boundary(*end));
        line.truncate(boundary.unwrap_or(0));
        line.push('…');
    }
    format!("STATUS={line}")
}

/// Why a message could not be sent to the supervisor.
#[derive(Debug)]
#[non_exhaustive]
pub enum NotifyError {
    /// `NOTIFY_SOCKET` is neither an absolute path nor an abstract name, or is too long.
    Address {
        /// Value of the variable.
        found: String,
        /// Error that the system returned.
        source: io::Error,
    },
    /// The message could not be sent.
    Send {
        /// Error that the system returned.
        source: io::Error,
    },
}

impl fmt::Display for NotifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { found, .. } => {
                write!(f, "NOTIFY_SOCKET={found:?} is not a usable address")
            }
            Self::Send { .. } => f.write_str("could not send to NOTIFY_SOCKET"),
        }
    }
}

impl Error for NotifyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Address { source, .. } | Self::Send { source } => Some(source),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_cannot_contain_a_second_assignment() {
        assert_eq!(status_assignment("fine\nMAINPID=1\r\n"), "STATUS=fine MAINPID=1");
    }

    #[test]
    fn a_long_status_is_cut_between_characters() {
        let status = status_assignment(&"é".repeat(3000));
        assert!(status.len() <= STATUS_MAX + "STATUS=…".len());
        assert!(status.ends_with("é…"));
        assert!(status_assignment(&format!("x{}", "é".repeat(3000))).ends_with("é…"));
    }

    #[test]
    fn an_address_of_another_kind_is_refused() {
        for bad in ["", "relative/path", "vsock:2:1234"] {
            let error = Notifier::open(OsStr::new(bad)).unwrap_err();
            assert!(matches!(error, NotifyError::Address { .. }), "{bad}: {error}");
        }
        let too_long = format!("/{}", "x".repeat(200));
        assert!(Notifier::open(OsStr::new(&too_long)).is_err());
    }
}
