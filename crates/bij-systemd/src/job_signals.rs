//! Signals about the ends of jobs.
//!
//! One match rule serves all jobs as long as the connection lives, so a start needs no bus call before the
//! call to PID 1.

use bij_core::port::UnitError;
use futures_util::StreamExt as _;
use zbus::names::{OwnedUniqueName, UniqueName};
use zbus::{Connection, MatchRule, Message, MessageStream, OwnedObjectPath, message};

use crate::bus::{Bus, subscribe, with_timeout};

const MANAGER_INTERFACE: &str = "org.freedesktop.systemd1.Manager";
const JOB_REMOVED: &str = "JobRemoved";

/// A stream of the ends of all jobs since it was opened.
pub(crate) struct JobSignals {
    stream: MessageStream,
    /// The manager's unique name: signals of other senders are ignored. `None` on a peer-to-peer connection.
    sender: Option<OwnedUniqueName>,
}

impl JobSignals {
    /// Subscribes to the ends of jobs.
    pub(crate) async fn open(bus: &Bus) -> Result<Self, UnitError> {
        let open = async {
            let connection = bus.signals().await?;
            let stream = MessageStream::from(&connection);
            // Each time, because a restarted manager has lost its subscribers.
            let sender = subscribe(&connection).await?;
            Ok(Self { stream, sender })
        };
        with_timeout(open).await
    }

    /// Returns the next finished job and its result; `None` if the connection is lost. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<(OwnedObjectPath, String)> {
        loop {
            // An error is the last item of a stream.
            let message = self.stream.next().await?.ok()?;
            if let Some(ended) = self.parse_end(&message) {
                return Some(ended);
            }
        }
    }

    fn parse_end(&self, message: &Message) -> Option<(OwnedObjectPath, String)> {
        let header = message.header();
        let is_end = header.message_type() == message::Type::Signal
            && header.member().is_some_and(|member| member == JOB_REMOVED)
            && header.interface().is_some_and(|interface| interface == MANAGER_INTERFACE)
            && header.sender().map(UniqueName::as_str)
                == self.sender.as_deref().map(UniqueName::as_str);
        if !is_end {
            return None;
        }
        let body = message.body();
        let (_, job, _, result) =
            body.deserialize::<(u32, OwnedObjectPath, String, String)>().ok()?;
        Some((job, result))
    }
}

/// Makes the bus deliver the ends of jobs to this connection for its lifetime.
pub(crate) async fn add_job_match(connection: &Connection) -> zbus::Result<()> {
    let rule = MatchRule::builder()
        .msg_type(message::Type::Signal)
        .sender("org.freedesktop.systemd1")
        .interface(MANAGER_INTERFACE)
        .member(JOB_REMOVED)
        .build()?;
    // A zbus stream would do this too, but between two jobs it is not read and would block the connection.
    let bus = "org.freedesktop.DBus";
    connection
        .call_method(Some(bus), "/org/freedesktop/DBus", Some(bus), "AddMatch", &rule.to_string())
        .await
        .map(drop)
}
