mod abuse;
mod model;
mod rights;
mod talk;

use std::path::PathBuf;

use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

use super::*;
use crate::Client;
use model::Model;

/// A user without rights.
const STRANGER: u32 = 3_999_999_999;

/// A served socket in its own directory.
struct Served {
    directory: TempDir,
    newest: watch::Sender<u64>,
    serving: JoinHandle<()>,
}

impl Served {
    fn start() -> Self {
        Self::with(Model::default())
    }

    fn with(model: Model) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (newest, watched) = watch::channel(0);
        // The user of the tests may change things.
        let uid = nix::unistd::geteuid().as_raw();
        let server = Server::new(Arc::new(model), Rights::User { uid }, watched);
        let listener = Listener::bind(&directory.path().join("coordinator.sock")).unwrap();
        let serving = tokio::spawn(async move {
            let never = server.serve_socket(&listener).await;
            match never {}
        });
        Self { directory, newest, serving }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("coordinator.sock")
    }

    async fn client(&self) -> Client {
        Client::connect(&self.socket()).await.unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Returns a client with this user id at the other end of a socket pair.
async fn client_of(uid: u32) -> Client {
    let (newest, watched) = watch::channel(0);
    let server = Server::new(Arc::new(Model::default()), Rights::system(), watched);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let slot = Arc::new(Clients::default().slot(uid, Pool::Others).unwrap());
    let serving = server.client(theirs, uid, slot);
    tokio::spawn(async move {
        serving.await;
        // The server ends when the sender of changes is dropped.
        drop(newest);
    });
    let ours = ours.into_std().unwrap();
    Client::over(connection::Builder::unix_stream(ours).user_id(uid).p2p()).await.unwrap()
}
