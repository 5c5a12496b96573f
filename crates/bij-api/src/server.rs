//! The server of the coordinator, on sockets and buses.

mod caller_source;
mod clients;
mod handler;
mod interface;
mod listener;
mod rights;
mod transport;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinSet;
use zbus::object_server::SignalEmitter;
use zbus::{Connection, Guid, connection};

use crate::client::SYSTEM_BUS;
use crate::{WhichBus, limits};
use caller_source::CallerSource;
use clients::{Clients, ConnectionSlot, OWNER_SLOTS, Pool};
use interface::{Interface, PATH};
use transport::ClientSocket;

pub use handler::{HostCommands, QueueCommands, QueueQueries, RecordQueries, RequestHandler};
pub use listener::{ListenError, Listener};
pub use rights::{Caller, Rights};

/// The name of the coordinator on a bus.
const NAME: &str = "org.braininjar.Coordinator1";

/// Time for the handshake of a new client.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait after an error in accepting, such as too many open files, for other connections to close.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Why the interface is not, or no longer, on a bus.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BusError {
    /// There is no bus, or it refuses the name.
    #[error("cannot join the bus as {NAME}")]
    Join(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The connection to the bus was lost.
    #[error("the connection to the bus is lost")]
    Lost,
}

/// Serves the interface on sockets and buses.
#[derive(Debug)]
pub struct Server<H> {
    handler: Arc<H>,
    rights: Arc<Rights>,
    newest: watch::Receiver<u64>,
}

impl<H: RequestHandler> Server<H> {
    /// Returns a server of a handler. `newest` is the number of the newest event, whose changes are signalled.
    pub fn new(handler: Arc<H>, rights: Rights, newest: watch::Receiver<u64>) -> Self {
        Self { handler, rights: Arc::new(rights), newest }
    }

    /// Serves all clients of a socket. Dropping the future closes all connections.
    pub async fn serve_socket(&self, listener: &Listener) -> Infallible {
        self.serve(listener, None).await
    }

    /// Serves the owner's socket, which has slots of its own.
    pub async fn serve_owners_socket(&self, listener: &Listener) -> Infallible {
        self.serve(listener, Some(Pool::Owner)).await
    }

    async fn serve(&self, listener: &Listener, pool: Option<Pool>) -> Infallible {
        let clients = Clients::default();
        let mut served = JoinSet::new();
        loop {
            // Clients of the public socket never stay in its backlog, where they would block others.
            let has_room = pool.is_none() || served.len() < OWNER_SLOTS;
            // Cancel-safe: neither loses anything.
            tokio::select! {
                accepted = listener.socket.accept(), if has_room => match accepted {
                    Ok((stream, _)) => {
                        let Ok(credentials) = stream.peer_cred() else { continue };
                        let uid = credentials.uid();
                        let begins_as = if self.rights.is_owner(uid) { Pool::Trusted } else { Pool::Others };
                        // Without a slot, the connection is closed.
                        let Some(slot) = clients.slot(uid, pool.unwrap_or(begins_as)) else { continue };
                        served.spawn(self.client(stream, uid, Arc::new(slot)));
                    }
                    Err(_) => tokio::time::sleep(ACCEPT_RETRY).await,
                },
                Some(_) = served.join_next() => {}
            }
        }
    }

    /// Serves one client until it disconnects or is evicted.
    fn client(
        &self,
        stream: tokio::net::UnixStream,
        uid: u32,
        slot: Arc<ConnectionSlot>,
    ) -> impl Future<Output = ()> + use<H> {
        let (handler, rights) = (Arc::clone(&self.handler), Arc::clone(&self.rights));
        let newest = self.newest.clone();
        async move {
            let served = async {
                let caller = caller_source::caller(&rights, uid).await;
                let may_change = caller.may_change();
                if may_change && slot.pool() == Some(Pool::Others) && !slot.move_to(Pool::Trusted) {
                    return;
                }
                let at_most = if may_change {
                    limits::MAX_TRUSTED_MESSAGE
                } else {
                    limits::MAX_OTHER_MESSAGE
                };
                let source = CallerSource::Peer { caller, slot: Arc::clone(&slot) };
                let interface = Interface { handler, source };
                let socket = ClientSocket { stream, uid, at_most, slot: Arc::clone(&slot) };
                let connect = connection::Builder::socket(socket)
                    .server(Guid::generate())
                    .p2p()
                    .serve_at(PATH, interface)
                    .build();
                if let Ok(Ok(connection)) = tokio::time::timeout(HANDSHAKE_TIMEOUT, connect).await {
                    emit_changes::<H>(&connection, newest).await;
                }
            };
            tokio::select! {
                () = served => {}
                () = slot.evicted() => {}
            }
        }
    }

    /// Serves all clients on a bus until the connection is lost.
    ///
    /// # Errors
    /// Always returns a [`BusError`]; try again later.
    pub async fn serve_bus(&self, bus: WhichBus) -> Result<Infallible, BusError> {
        let builder = || match bus {
            WhichBus::System => connection::Builder::address(SYSTEM_BUS),
            WhichBus::Session => connection::Builder::session(),
        };
        let join = async {
            let queries = builder().build().await?;
            let source = CallerSource::Bus { queries, rights: Arc::clone(&self.rights) };
            let interface = Interface { handler: Arc::clone(&self.handler), source };
            // The interface is served before the name is requested, so that it is there when the name is.
            builder()
                .serve_at(PATH, interface)
                .name(NAME)
                .allow_name_replacements(false)
                .replace_existing_names(false)
                .build()
                .await
        };
        let connection = join.await.map_err(|error: zbus::Error| BusError::Join(error.into()))?;
        emit_changes::<H>(&connection, self.newest.clone()).await;
        Err(BusError::Lost)
    }
}

/// Emits a signal for every change, until the connection is lost or the sender of `newest` is dropped.
async fn emit_changes<H: RequestHandler>(
    connection: &Connection,
    mut newest: watch::Receiver<u64>,
) {
    newest.mark_unchanged();
    loop {
        // Cancel-safe: a change that was not received is received the next time.
        tokio::select! {
            () = connection.closed() => return,
            changed = newest.changed() => {
                if changed.is_err() {
                    return;
                }
                let seq = *newest.borrow_and_update();
                let Ok(emitter) = SignalEmitter::new(connection, PATH) else { return };
                if Interface::<H>::changed(&emitter, seq).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
