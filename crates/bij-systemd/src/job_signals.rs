//! Hearing that jobs are over.
//!
//! One match on the bus serves all jobs for as long as the connection lives: a start asks the bus
//! for nothing before it asks PID 1.

use bij_core::port::UnitError;
use futures_util::StreamExt as _;
use zbus::names::{OwnedUniqueName, UniqueName};
use zbus::{Connection, MatchRule, Message, MessageStream, OwnedObjectPath, message};

use crate::bus::{Bus, in_time, subscribe};

const MANAGER_INTERFACE: &str = "org.freedesktop.systemd1.Manager";
const JOB_REMOVED: &str = "JobRemoved";

/// The ends of all jobs since it was opened.
pub(crate) struct JobSignals {
    stream: MessageStream,
    /// The manager; nobody else says that a job is over. `None` without a bus.
    from: Option<OwnedUniqueName>,
}

impl JobSignals {
    /// Hears of every end from here on.
    pub(crate) async fn open(bus: &Bus) -> Result<Self, UnitError> {
        let open = async {
            let connection = bus.signals().await?;
            let stream = MessageStream::from(&connection);
            // Each time: a manager that was started anew remembers no subscribers.
            let from = subscribe(&connection).await?;
            Ok(Self { stream, from })
        };
        in_time(open).await
    }

    /// The next job that is over, and its result; `None` if nothing is heard any more. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<(OwnedObjectPath, String)> {
        loop {
            // An error is the last thing that a stream says.
            let message = self.stream.next().await?.ok()?;
            if let Some(ended) = self.ended(&message) {
                return Some(ended);
            }
        }
    }

    fn ended(&self, message: &Message) -> Option<(OwnedObjectPath, String)> {
        let header = message.header();
        let is_end = header.message_type() == message::Type::Signal
            && header.member().is_some_and(|member| member == JOB_REMOVED)
            && header.interface().is_some_and(|interface| interface == MANAGER_INTERFACE)
            && header.sender().map(UniqueName::as_str)
                == self.from.as_deref().map(UniqueName::as_str);
        if !is_end {
            return None;
        }
        let body = message.body();
        let (_, job, _, result) =
            body.deserialize::<(u32, OwnedObjectPath, String, String)>().ok()?;
        Some((job, result))
    }
}

/// Has the bus pass the ends of jobs on to this connection, as long as it lives.
pub(crate) async fn match_ends(connection: &Connection) -> zbus::Result<()> {
    let rule = MatchRule::builder()
        .msg_type(message::Type::Signal)
        .sender("org.freedesktop.systemd1")
        .interface(MANAGER_INTERFACE)
        .member(JOB_REMOVED)
        .build()?;
    // Not by a stream of zbus's: one that nobody reads between two jobs would hold up the connection.
    let bus = "org.freedesktop.DBus";
    connection
        .call_method(Some(bus), "/org/freedesktop/DBus", Some(bus), "AddMatch", &rule.to_string())
        .await
        .map(drop)
}
