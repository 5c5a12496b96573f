//! The socket that clients connect to.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::Builder;
use thiserror::Error;
use tokio::net::UnixListener;

/// A listening socket.
#[derive(Debug)]
pub struct Listener {
    pub(super) socket: UnixListener,
    path: PathBuf,
}

/// Why listening on a socket failed.
#[derive(Debug, Error)]
#[error("cannot listen at {path}")]
pub struct ListenError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl Listener {
    /// Listens at a path, which all users can connect to. The socket atomically replaces an existing one, so that a client
    /// can distinguish a killed coordinator from none.
    ///
    /// # Errors
    /// [`ListenError`] if the socket cannot be created there.
    pub fn bind(path: &Path) -> Result<Self, ListenError> {
        // All users may query; commands are checked by the credentials of the caller.
        Self::bind_with(path, 0o666)
    }

    /// As [`Listener::bind`], at a path that only its owner can connect to, so that no other user can fill its backlog.
    ///
    /// # Errors
    /// As [`Listener::bind`].
    pub fn bind_owners(path: &Path) -> Result<Self, ListenError> {
        Self::bind_with(path, 0o600)
    }

    fn bind_with(path: &Path, mode: u32) -> Result<Self, ListenError> {
        let failed = |source| ListenError { path: path.to_owned(), source };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let bind = || -> io::Result<UnixListener> {
            let directory = path.parent().unwrap_or(Path::new("/"));
            let prefix = format!(".{name}.");
            let mut temporary = Builder::new();
            let socket =
                temporary.prefix(&prefix).make_in(directory, |path| UnixListener::bind(path))?;
            // The socket must have its mode before clients can find it.
            fs::set_permissions(socket.path(), Permissions::from_mode(mode))?;
            Ok(socket.persist(path)?)
        };
        let socket = bind().map_err(failed)?;
        Ok(Self { socket, path: path.to_owned() })
    }

    /// Closes the socket and removes its file, because the coordinator stops cleanly.
    pub fn remove(self) {
        // The file may be gone already.
        drop(fs::remove_file(&self.path));
    }
}
