//! The socket that clients come to.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use thiserror::Error;
use tokio::net::UnixListener;

/// A socket that is listened to.
#[derive(Debug)]
pub struct Listener {
    pub(super) socket: UnixListener,
    path: PathBuf,
}

/// Why a socket cannot be listened to.
#[derive(Debug, Error)]
#[error("cannot listen at {path}")]
pub struct ListenError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl Listener {
    /// Listens at a path from now on, in the place of whoever did before: there is no moment
    /// without a socket there, so a client knows a dead coordinator from none.
    ///
    /// # Errors
    /// [`ListenError`] if the socket cannot be made there.
    pub fn bind(path: &Path) -> Result<Self, ListenError> {
        // Everyone may look; who may change things is told by their credentials.
        Self::bind_with(path, 0o666)
    }

    /// As [`Listener::bind`], at a path that its owner alone can connect to: no other user can fill
    /// its line.
    ///
    /// # Errors
    /// As [`Listener::bind`].
    pub fn bind_owners(path: &Path) -> Result<Self, ListenError> {
        Self::bind_with(path, 0o600)
    }

    fn bind_with(path: &Path, mode: u32) -> Result<Self, ListenError> {
        let told = |source| ListenError { path: path.to_owned(), source };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let beside = path.with_file_name(format!(".{name}.{}", std::process::id()));
        // Left by a process of the same number, which is no more.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(told(error)),
            _ => {}
        }
        let bind = || {
            let socket = UnixListener::bind(&beside)?;
            // Not under its name before it has its mode.
            fs::set_permissions(&beside, Permissions::from_mode(mode))?;
            fs::rename(&beside, path)?;
            Ok(socket)
        };
        let socket = bind().inspect_err(|_| drop(fs::remove_file(&beside))).map_err(told)?;
        Ok(Self { socket, path: path.to_owned() })
    }

    /// Takes the socket away: the coordinator ends in good order. Whoever comes from now on finds
    /// none.
    pub fn remove(self) {
        // What is not there any more is no loss.
        drop(fs::remove_file(&self.path));
    }
}
