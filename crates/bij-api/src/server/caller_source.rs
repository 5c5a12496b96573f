//! Who calls: told by the kernel on a socket, by the bus on a bus.

use std::sync::Arc;

use zbus::message::Header;
use zbus::names::BusName;
use zbus::{Connection, fdo};

use super::clients::Seat;
use super::{Caller, Rights};
use crate::{Refusal, RefusalKind};

/// Where the knowledge of a caller comes from.
pub(super) enum Who {
    /// The one process at the other end; it was looked at when it connected.
    Peer {
        /// Its user.
        caller: Caller,
        /// Its seat.
        seat: Arc<Seat>,
    },
    /// Anybody on a bus, which is asked for each call. By a connection of its own: the one that
    /// brings the calls may be full of them.
    Bus {
        /// For questions to the bus.
        questions: Connection,
        /// Who may change things.
        rights: Arc<Rights>,
    },
}

impl Who {
    /// The caller, if they may change things.
    pub(super) async fn allowed(&self, header: &Header<'_>, what: &str) -> Result<Caller, Refusal> {
        let caller = match self {
            Self::Peer { caller, .. } => caller.clone(),
            Self::Bus { questions, rights } => {
                let uid = uid_of(questions, header).await.map_err(|error| {
                    let text = format!("the bus does not say who calls: {error}");
                    Refusal::new(RefusalKind::Denied, text)
                })?;
                caller(rights, uid).await
            }
        };
        caller.must_be_allowed(what)?;
        Ok(caller)
    }
}

impl Who {
    /// Waits until a large answer may be made. On a bus, which brings one call after another, there is
    /// never more than one.
    pub(super) async fn large_answer(&self) {
        match self {
            Self::Peer { seat, .. } => seat.large_answer().await,
            Self::Bus { .. } => {}
        }
    }

    /// Refuses on a bus what may take long: calls there are answered one after another, whoever makes
    /// them.
    pub(super) fn must_be_alone(&self, what: &str) -> Result<(), Refusal> {
        match self {
            Self::Peer { .. } => Ok(()),
            Self::Bus { .. } => {
                let text = format!("the coordinator does not {what} for callers on the bus");
                Err(Refusal::new(RefusalKind::Invalid, text)
                    .remedy("ask over its socket, as `bij start` and `bij stop` do"))
            }
        }
    }
}

/// Looks a user up without holding up anybody else.
pub(super) async fn caller(rights: &Arc<Rights>, uid: u32) -> Caller {
    if uid == 0 {
        return rights.caller(uid);
    }
    let (looking, here) = (Arc::clone(rights), Arc::clone(rights));
    let looked = tokio::task::spawn_blocking(move || looking.caller(uid)).await;
    // Lost only if the runtime is going down.
    looked.unwrap_or_else(|_| here.caller(uid))
}

async fn uid_of(questions: &Connection, header: &Header<'_>) -> zbus::Result<u32> {
    let sender = header.sender().ok_or(zbus::Error::MissingParameter("sender"))?;
    let bus = fdo::DBusProxy::new(questions).await?;
    let credentials = bus.get_connection_credentials(BusName::Unique(sender.to_owned())).await?;
    credentials.unix_user_id().ok_or(zbus::Error::MissingParameter("UnixUserID"))
}
