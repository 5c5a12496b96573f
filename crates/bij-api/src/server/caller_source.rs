//! Identifies callers: by the kernel on a socket, by the bus on a bus.

use std::sync::Arc;

use zbus::message::Header;
use zbus::names::BusName;
use zbus::{Connection, fdo};

use super::clients::ConnectionSlot;
use super::{Caller, Rights};
use crate::{Refusal, RefusalKind};

/// The source of the identity of callers.
pub(super) enum CallerSource {
    /// A socket, whose one caller was identified when it connected.
    Peer { caller: Caller, slot: Arc<ConnectionSlot> },
    /// A bus, which is asked for each call.
    Bus {
        /// A connection of its own, because the one with the calls may be full of them.
        queries: Connection,
        rights: Arc<Rights>,
    },
}

impl CallerSource {
    /// Returns the caller.
    ///
    /// # Errors
    /// [`RefusalKind::Denied`] if the caller may not change things or cannot be identified.
    pub(super) async fn caller(&self, header: &Header<'_>, what: &str) -> Result<Caller, Refusal> {
        let caller = match self {
            Self::Peer { caller, .. } => caller.clone(),
            Self::Bus { queries, rights } => {
                let uid = uid_of(queries, header).await.map_err(|error| {
                    let text = format!("the bus does not identify the caller: {error}");
                    Refusal::new(RefusalKind::Denied, text)
                })?;
                caller(rights, uid).await
            }
        };
        caller.ensure_may_change(what)?;
        Ok(caller)
    }

    /// Waits until a large answer may be made. A bus delivers one call after another, so there is only one.
    pub(super) async fn large_answer(&self) {
        match self {
            Self::Peer { slot, .. } => slot.large_answer().await,
            Self::Bus { .. } => {}
        }
    }

    /// Refuses a call on a bus that may take long, because all calls there are answered one after another.
    pub(super) fn ensure_socket(&self, what: &str) -> Result<(), Refusal> {
        match self {
            Self::Peer { .. } => Ok(()),
            Self::Bus { .. } => {
                let text = format!("the coordinator does not {what} for callers on the bus");
                Err(Refusal::new(RefusalKind::Invalid, text)
                    .remedy("use its socket, as `bij start` and `bij stop` do"))
            }
        }
    }
}

/// Looks up a user on a blocking thread.
pub(super) async fn caller(rights: &Arc<Rights>, uid: u32) -> Caller {
    if uid == 0 {
        return rights.caller(uid);
    }
    let (blocking, here) = (Arc::clone(rights), Arc::clone(rights));
    let found = tokio::task::spawn_blocking(move || blocking.caller(uid)).await;
    // This fails only if the runtime is shutting down.
    found.unwrap_or_else(|_| here.caller(uid))
}

async fn uid_of(queries: &Connection, header: &Header<'_>) -> zbus::Result<u32> {
    let sender = header.sender().ok_or(zbus::Error::MissingParameter("sender"))?;
    let bus = fdo::DBusProxy::new(queries).await?;
    let credentials = bus.get_connection_credentials(BusName::Unique(sender.to_owned())).await?;
    credentials.unix_user_id().ok_or(zbus::Error::MissingParameter("UnixUserID"))
}
