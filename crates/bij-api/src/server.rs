//! The coordinator's side: what it answers, to whom, and by which ways.

mod clients;
mod handler;
mod interface;
mod listener;
mod rights;
mod transport;
mod who;

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
use clients::{Clients, OWNERS_SEATS, Pool, Seat};
use interface::{Interface, PATH};
use transport::ClientSocket;
use who::Who;

pub use handler::{Look, Steer};
pub use listener::{ListenError, Listener};
pub use rights::{Caller, Rights};

/// The name on a bus.
const NAME: &str = "org.braininjar.Coordinator1";

/// A client that has not introduced itself by then is none.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);

/// After an error in accepting (too many open files, for example), others get time to leave.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Why the interface is not, or no longer, on a bus.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BusError {
    /// There is no bus, or it does not give us the name.
    #[error("cannot be on the bus as {NAME}")]
    Join(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It was there, and the connection is lost.
    #[error("the connection to the bus is lost")]
    Lost,
}

/// Serves the interface by sockets and buses.
#[derive(Debug)]
pub struct Server<H> {
    handler: Arc<H>,
    rights: Arc<Rights>,
    newest: watch::Receiver<u64>,
}

impl<H: Steer> Server<H> {
    /// A server of a handler. What `newest` holds is the number of the newest event: a change of it
    /// becomes the signal.
    pub fn new(handler: Arc<H>, rights: Rights, newest: watch::Receiver<u64>) -> Self {
        Self { handler, rights: Arc::new(rights), newest }
    }

    /// Serves everyone who comes to a socket, until it is dropped; that ends all connections.
    pub async fn serve_socket(&self, listener: &Listener) -> Infallible {
        self.serve(listener, None).await
    }

    /// Serves the owner's own socket, by seats that no one else can take.
    pub async fn serve_owners_socket(&self, listener: &Listener) -> Infallible {
        self.serve(listener, Some(Pool::Owner)).await
    }

    async fn serve(&self, listener: &Listener, pool: Option<Pool>) -> Infallible {
        let clients = Clients::default();
        let mut served = JoinSet::new();
        loop {
            // Strangers are never left in the line, where they would keep out others.
            let has_room = pool.is_none() || served.len() < OWNERS_SEATS;
            // Cancel-safe: neither takes anything before it is ready.
            tokio::select! {
                accepted = listener.socket.accept(), if has_room => match accepted {
                    Ok((stream, _)) => {
                        let Ok(credentials) = stream.peer_cred() else { continue };
                        let uid = credentials.uid();
                        let begins_as = if self.rights.is_owner(uid) { Pool::Trusted } else { Pool::Others };
                        // One too many is hung up on: it has not been promised anything.
                        let Some(seat) = clients.seat(uid, pool.unwrap_or(begins_as)) else { continue };
                        served.spawn(self.client(stream, uid, Arc::new(seat)));
                    }
                    Err(_) => tokio::time::sleep(ACCEPT_AGAIN_AFTER).await,
                },
                Some(_) = served.join_next() => {}
            }
        }
    }

    /// Serves one client until it leaves, or its seat is needed.
    fn client(
        &self,
        stream: tokio::net::UnixStream,
        uid: u32,
        seat: Arc<Seat>,
    ) -> impl Future<Output = ()> + use<H> {
        let (handler, rights) = (Arc::clone(&self.handler), Arc::clone(&self.rights));
        let newest = self.newest.clone();
        async move {
            let served = async {
                let caller = who::caller(&rights, uid).await;
                let may_change = caller.may_change();
                if may_change && seat.pool() == Some(Pool::Others) && !seat.move_to(Pool::Trusted) {
                    return;
                }
                let at_most =
                    if may_change { limits::MESSAGE_OF_TRUSTED } else { limits::MESSAGE_OF_OTHERS };
                let who = Who::Peer { caller, seat: Arc::clone(&seat) };
                let interface = Interface { handler, who };
                let socket = ClientSocket { stream, uid, at_most, seat: Arc::clone(&seat) };
                let connect = connection::Builder::socket(socket)
                    .server(Guid::generate())
                    .p2p()
                    .serve_at(PATH, interface)
                    .build();
                if let Ok(Ok(connection)) = tokio::time::timeout(HANDSHAKE_WITHIN, connect).await {
                    signal::<H>(&connection, newest).await;
                }
            };
            tokio::select! {
                () = served => {}
                () = seat.is_needed() => {}
            }
        }
    }

    /// Serves everybody on a bus until the connection is lost.
    ///
    /// # Errors
    /// [`BusError`], always: try again later.
    pub async fn serve_bus(&self, bus: WhichBus) -> Result<Infallible, BusError> {
        let builder = || match bus {
            WhichBus::System => connection::Builder::address(SYSTEM_BUS),
            WhichBus::Session => connection::Builder::session(),
        };
        let join = async {
            let questions = builder().build().await?;
            let who = Who::Bus { questions, rights: Arc::clone(&self.rights) };
            let interface = Interface { handler: Arc::clone(&self.handler), who };
            // The name is asked for last: whoever finds it finds the interface.
            builder()
                .serve_at(PATH, interface)
                .name(NAME)
                .allow_name_replacements(false)
                .replace_existing_names(false)
                .build()
                .await
        };
        let connection = join.await.map_err(|error: zbus::Error| BusError::Join(error.into()))?;
        signal::<H>(&connection, self.newest.clone()).await;
        Err(BusError::Lost)
    }
}

/// Tells the other end of every change, until the connection is lost or nothing changes any more.
async fn signal<H: Steer>(connection: &Connection, mut newest: watch::Receiver<u64>) {
    newest.mark_unchanged();
    loop {
        // Cancel-safe: a change that was not seen is seen the next time.
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
