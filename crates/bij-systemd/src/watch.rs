//! Hearing of changes of experiments' units, without ever asking.
//!
//! A change is heard as a hint and no more: whoever hears it looks at the unit, since what a signal
//! says is already old when it comes, and PID 1 sends some values of a service apart from those of
//! its unit. What may have been missed is told as [`UnitSignal::Resync`]: at the beginning, after the
//! bus was lost, after PID 1 was executed anew, and after units were read again, when every value
//! may have changed and few are announced (org.freedesktop.systemd1(5)).
//!
//! Units come and go by the hundred in a reload (`UnitNew`, `UnitRemoved`) though nothing happens to
//! them: nobody listens to that. The bus can match whole paths and subtrees only, and a connection
//! has 512 matches at most (dbus-daemon(1)), so all units' changes come and ours are picked out.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use bij_core::port::UnitError;
use bij_core::{ExperimentId, InvocationId};
use futures_util::stream::{SelectAll, StreamExt as _, select_all};
use zbus::{Connection, MatchRule, Message, MessageStream, OwnedObjectPath, OwnedVariant, message};

use crate::RuntimeScope;
use crate::bus;
use crate::proxy::unit_of_path;

const MANAGER: &str = "org.freedesktop.systemd1";
const MANAGER_INTERFACE: &str = "org.freedesktop.systemd1.Manager";

/// The interface whose changes are heard for every unit.
const UNIT: &str = "org.freedesktop.systemd1.Unit";

/// It is started when a manager goes down, the system's and a user's alike (systemd.special(7)); that
/// it has a job is a change of it.
const SHUTDOWN: &str = "shutdown.target";

/// A storm of changes is kept so far while the listener is busy; a full queue would hold up the
/// connection until it is read (see zbus's `max_queued`).
const QUEUE: NonZeroUsize = NonZeroUsize::new(8192).expect("it is not zero");

/// How soon a lost bus is looked for again, at first and at last. It is back within a second when
/// it restarts; where there is none, nobody needs to know soon that there is one.
const AGAIN_AFTER: Duration = Duration::from_millis(50);
const AGAIN_AT_LAST_AFTER: Duration = Duration::from_secs(2);

/// What was heard of the units of experiments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnitSignal {
    /// Something about this one has changed.
    Changed(ExperimentId),
    /// A start of this one, with this invocation id, was skipped, whatever its condition has said or could
    /// not say. It is told again with each change of the unit until the next start.
    StartSkipped(ExperimentId, InvocationId),
    /// The machine, or the user's session, may be going down, or not any more.
    MayGoDown,
    /// Anything may have changed unheard: all are to be looked at.
    Resync,
    /// The bus cannot be reached, why as a fragment. [`UnitSignal::Resync`] follows when it can.
    Lost(String),
}

/// Listens to a service manager by a connection of its own, and connects again by itself.
#[derive(Debug)]
pub struct UnitWatch {
    source: Source,
    state: State,
}

#[derive(Debug)]
enum Source {
    Bus(RuntimeScope),
    /// Managers at the other end of connections without a bus, the next one last.
    #[cfg(test)]
    Peers(Vec<Connection>),
}

#[derive(Debug)]
enum State {
    Listening(Listening),
    /// Not connected; whether that was told, and how long to wait before the next trial.
    Lost {
        told: bool,
        again_after: Duration,
    },
}

#[derive(Debug)]
struct Listening {
    connection: Connection,
    signals: SelectAll<MessageStream>,
    /// The unit whose service was told to have been skipped just now.
    skipped: Option<String>,
}

impl UnitWatch {
    /// Will listen to the manager of this scope; connects when it is first waited on.
    pub const fn new(scope: RuntimeScope) -> Self {
        Self::of(Source::Bus(scope))
    }

    #[cfg(test)]
    fn over(peers: Vec<Connection>) -> Self {
        Self::of(Source::Peers(peers))
    }

    const fn of(source: Source) -> Self {
        Self { source, state: State::Lost { told: false, again_after: Duration::ZERO } }
    }

    /// Waits for the next signal; never ends. Cancel-safe.
    pub async fn next(&mut self) -> UnitSignal {
        loop {
            match &mut self.state {
                State::Listening(listening) => match listening.next().await {
                    Some(signal) => return signal,
                    None => self.state = State::Lost { told: false, again_after: Duration::ZERO },
                },
                State::Lost { told, again_after } => {
                    tokio::time::sleep(*again_after).await;
                    *again_after = (*again_after * 2).clamp(AGAIN_AFTER, AGAIN_AT_LAST_AFTER);
                    match self.source.listen().await {
                        Ok(listening) => {
                            self.state = State::Listening(listening);
                            return UnitSignal::Resync;
                        }
                        Err(error) if !std::mem::replace(told, true) => {
                            return UnitSignal::Lost(error);
                        }
                        Err(_) => {}
                    }
                }
            }
        }
    }
}

impl Source {
    /// Connects and subscribes: from here on nothing is missed.
    async fn listen(&mut self) -> Result<Listening, String> {
        let listening = async {
            let connection = match self {
                Self::Bus(scope) => bus::open(*scope).await?,
                #[cfg(test)]
                Self::Peers(peers) => peers.pop().ok_or(zbus::Error::Unsupported)?,
            };
            Listening::start(connection).await
        };
        bus::in_time(listening).await.map_err(|error| match error {
            // What is unreachable is said already; why is one level below.
            UnitError::Unreachable(source) => source.to_string(),
            error => error.to_string(),
        })
    }
}

impl Listening {
    async fn start(connection: Connection) -> zbus::Result<Self> {
        let mut signals = Vec::new();
        for rule in rules()? {
            let stream = MessageStream::for_match_rule(rule, &connection, Some(QUEUE)).await?;
            signals.push(stream);
        }
        bus::subscribe(&connection).await?;
        Ok(Self { connection, signals: select_all(signals), skipped: None })
    }

    /// The next signal about an experiment; `None` if the connection is lost.
    async fn next(&mut self) -> Option<UnitSignal> {
        loop {
            // An error is the last thing that a stream says.
            let Ok(message) = self.signals.next().await? else { return None };
            match Heard::of(&message) {
                Some(Heard::Unit(unit, invocation)) => {
                    if unit == SHUTDOWN {
                        return Some(UnitSignal::MayGoDown);
                    }
                    let was_skipped = self.skipped.take_if(|skipped| *skipped == unit).is_some();
                    let Some(id) = ExperimentId::from_unit_name(&unit) else { continue };
                    return Some(match invocation {
                        Some(invocation) if was_skipped => UnitSignal::StartSkipped(id, invocation),
                        _ => UnitSignal::Changed(id),
                    });
                }
                Some(Heard::Skipped(unit)) => self.skipped = Some(unit),
                Some(Heard::Reloaded) => return Some(UnitSignal::Resync),
                Some(Heard::NewManager) => {
                    // A manager that was executed anew remembers its subscribers; one that was
                    // started anew does not.
                    if bus::in_time(bus::subscribe(&self.connection)).await.is_err() {
                        return None;
                    }
                    return Some(UnitSignal::Resync);
                }
                None => {}
            }
        }
    }
}

/// What a message says that matters here.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    /// Something about a unit, ours or not, and its invocation if that was told.
    Unit(String, Option<InvocationId>),
    /// The condition of a unit has kept it from starting; its [`Heard::Unit`] comes next.
    Skipped(String),
    /// All units have been read again.
    Reloaded,
    /// Another process is the manager.
    NewManager,
}

impl Heard {
    fn of(message: &Message) -> Option<Self> {
        let header = message.header();
        let body = message.body();
        match header.member()?.as_str() {
            "PropertiesChanged" => {
                let unit = unit_of_path(header.path()?.as_str())?;
                if ExperimentId::from_unit_name(&unit).is_none() {
                    return Some(Self::Unit(unit, None));
                }
                let (interface, mut changed, _) = body
                    .deserialize::<(String, HashMap<String, OwnedVariant>, Vec<String>)>()
                    .ok()?;
                if interface == UNIT {
                    let bytes = changed.remove("InvocationID").map(Vec::<u8>::try_from);
                    let bytes = bytes.and_then(|bytes| <[u8; 16]>::try_from(bytes.ok()?).ok());
                    return Some(Self::Unit(unit, bytes.map(InvocationId::from_bytes)));
                }
                let result = changed.get("Result").and_then(|result| <&str>::try_from(result).ok());
                (result == Some("exec-condition")).then_some(Self::Skipped(unit))
            }
            "JobRemoved" => {
                let (_, _, unit, _) =
                    body.deserialize::<(u32, OwnedObjectPath, String, String)>().ok()?;
                Some(Self::Unit(unit, None))
            }
            "Reloading" => (!body.deserialize::<bool>().ok()?).then_some(Self::Reloaded),
            "NameOwnerChanged" => {
                let (_, _, owner) = body.deserialize::<(String, String, String)>().ok()?;
                // Nobody in its place yet: that is worth nothing until somebody is.
                (!owner.is_empty()).then_some(Self::NewManager)
            }
            _ => None,
        }
    }
}

fn rules() -> zbus::Result<[MatchRule<'static>; 4]> {
    let signal = || MatchRule::builder().msg_type(message::Type::Signal);
    let from_manager = |member: &'static str| {
        signal().sender(MANAGER).interface(MANAGER_INTERFACE).member(member).build()
    };
    Ok([
        // A change is told as the service's values and then the unit's, by one rule because each rule has a
        // queue of its own. A unit that was skipped is forgotten before it could be looked at.
        signal()
            .sender(MANAGER)
            .interface("org.freedesktop.DBus.Properties")
            .member("PropertiesChanged")
            .path_namespace("/org/freedesktop/systemd1/unit")
            .build()?,
        from_manager("JobRemoved")?,
        from_manager("Reloading")?,
        signal()
            // From whomever: who makes it up has us look once more than needed.
            .interface("org.freedesktop.DBus")
            .member("NameOwnerChanged")
            .add_arg(MANAGER)
            .build()?,
    ])
}

#[cfg(test)]
mod tests;
