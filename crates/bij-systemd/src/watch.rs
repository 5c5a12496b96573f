//! Receives signals about changes of units, without polling.
//!
//! A signal is only a hint to read the unit: its values are old when it arrives, and PID 1 sends some values
//! of a service apart from those of its unit. Where signals may have been missed, [`UnitEvent::Resync`] is
//! reported: at the beginning, after the bus was lost, after PID 1 was re-executed, and after a reload, when
//! every value may have changed and few changes are announced (org.freedesktop.systemd1(5)).
//!
//! A reload sends hundreds of `UnitNew` and `UnitRemoved` signals about unchanged units, so these are not
//! subscribed to. The bus can match only whole paths and subtrees, and a connection has at most 512 match rules
//! (dbus-daemon(1)), so the changes of all units are received and the selected ones picked out.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

use bij_core::InvocationId;
use zbus::{Connection, MatchRule, Message, MessageStream, OwnedObjectPath, OwnedVariant, message};

use crate::message_stream::MergedStreams;
use crate::proxy::unit_of_path;
use crate::{ManagerAddress, ManagerError, UnitName, bus};

const MANAGER: &str = "org.freedesktop.systemd1";
const MANAGER_INTERFACE: &str = "org.freedesktop.systemd1.Manager";

/// The interface that changes for every kind of unit.
const UNIT: &str = "org.freedesktop.systemd1.Unit";

/// The target that every manager starts when it goes down (systemd.special(7)). Its start job is announced as
/// a change of the unit.
const SHUTDOWN: &str = "shutdown.target";

/// Number of signals that are queued while the reader is busy. A full queue blocks the connection (zbus's
/// `max_queued`).
const QUEUE_LENGTH: NonZeroUsize = NonZeroUsize::new(8192).expect("it is not zero");

/// Delays of the first and of later attempts to reconnect. A bus that restarts is back within a second; where
/// there was none, its arrival is not urgent.
const RECONNECT_DELAY: Duration = Duration::from_millis(50);
const MAX_RECONNECT_DELAY: Duration = Duration::from_secs(2);

/// What a [`Watch`] reports. An event is a hint to read the unit: values that came with it would be old.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnitEvent {
    /// The unit has changed, or a job of it has ended.
    Changed(UnitName),
    /// A start of the unit, with this invocation id, was skipped because its `ExecCondition=` refused it or could not
    /// be run. It is reported again with each change of the unit until the next start.
    StartSkipped(UnitName, InvocationId),
    /// The shutdown target has changed: the machine or the user's session may be going down, or no longer be.
    MayGoDown,
    /// Signals may have been missed: the state of all units must be read.
    Resync,
    /// The bus cannot be reached, with the reason as a fragment. [`UnitEvent::Resync`] follows when it can.
    Lost(String),
}

/// A subscription to a service manager's signals about the selected units, over a separate connection that
/// reconnects by itself; created by [`Manager::watch`](crate::Manager::watch).
///
/// It survives a restart of the bus, `systemctl daemon-reexec` and `daemon-reload`: each of them is a
/// [`UnitEvent::Resync`], as is the beginning.
pub struct Watch {
    source: SignalSource,
    selects: Selection,
    state: WatchState,
}

type Selection = Box<dyn Fn(&UnitName) -> bool + Send + Sync>;

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut watch = f.debug_struct("Watch");
        watch.field("source", &self.source).field("state", &self.state).finish_non_exhaustive()
    }
}

#[derive(Debug)]
enum SignalSource {
    Address(ManagerAddress),
    /// Peer-to-peer connections to managers; the next one is last.
    #[cfg(test)]
    Peers(Vec<Connection>),
}

#[derive(Debug)]
enum WatchState {
    Subscribed(Subscription),
    /// Not connected. Holds whether that was reported, and the delay before the next attempt to connect.
    Lost {
        is_reported: bool,
        delay: Duration,
    },
}

#[derive(Debug)]
struct Subscription {
    connection: Connection,
    signals: MergedStreams,
    /// The unit whose service was just reported as skipped.
    skipped: Option<UnitName>,
}

impl Watch {
    /// Creates a watch of the manager at this address; the first call of [`next`](Self::next) connects.
    pub(crate) fn new(
        address: ManagerAddress,
        selects: impl Fn(&UnitName) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self::from_source(SignalSource::Address(address), selects)
    }

    #[cfg(test)]
    pub(crate) fn from_peers(
        peers: Vec<Connection>,
        selects: impl Fn(&UnitName) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self::from_source(SignalSource::Peers(peers), selects)
    }

    fn from_source(
        source: SignalSource,
        selects: impl Fn(&UnitName) -> bool + Send + Sync + 'static,
    ) -> Self {
        let state = WatchState::Lost { is_reported: false, delay: Duration::ZERO };
        Self { source, selects: Box::new(selects), state }
    }

    /// Waits for the next event; they never end. Cancel-safe.
    pub async fn next(&mut self) -> UnitEvent {
        loop {
            match &mut self.state {
                WatchState::Subscribed(subscription) => {
                    match subscription.next(&self.selects).await {
                        Some(signal) => return signal,
                        None => {
                            self.state =
                                WatchState::Lost { is_reported: false, delay: Duration::ZERO }
                        }
                    }
                }
                WatchState::Lost { is_reported, delay } => {
                    tokio::time::sleep(*delay).await;
                    *delay = (*delay * 2).clamp(RECONNECT_DELAY, MAX_RECONNECT_DELAY);
                    match self.source.subscribe().await {
                        Ok(subscription) => {
                            self.state = WatchState::Subscribed(subscription);
                            return UnitEvent::Resync;
                        }
                        Err(error) if !std::mem::replace(is_reported, true) => {
                            return UnitEvent::Lost(error);
                        }
                        Err(_) => {}
                    }
                }
            }
        }
    }
}

impl SignalSource {
    /// Connects and subscribes; no signal is missed from then on.
    async fn subscribe(&mut self) -> Result<Subscription, String> {
        let subscription = async {
            let connection = match self {
                Self::Address(address) => bus::connect(address).await?,
                #[cfg(test)]
                Self::Peers(peers) => peers.pop().ok_or(zbus::Error::Unsupported)?,
            };
            Subscription::start(connection).await
        };
        bus::with_timeout(subscription).await.map_err(|error| match error {
            // `UnitEvent::Lost` itself means unreachable; the reason is the source.
            ManagerError::Unreachable(source) => source.to_string(),
            error => error.to_string(),
        })
    }
}

impl Subscription {
    async fn start(connection: Connection) -> zbus::Result<Self> {
        let mut signals = Vec::new();
        for rule in rules()? {
            let stream =
                MessageStream::for_match_rule(rule, &connection, Some(QUEUE_LENGTH)).await?;
            signals.push(stream);
        }
        bus::subscribe(&connection).await?;
        Ok(Self { connection, signals: MergedStreams::new(signals), skipped: None })
    }

    /// Returns the next signal; `None` if the connection is lost.
    async fn next(&mut self, selects: &Selection) -> Option<UnitEvent> {
        loop {
            let message = self.signals.next().await?;
            match ManagerSignal::from_message(&message, selects) {
                Some(ManagerSignal::Unit(unit, invocation)) => {
                    if unit.as_str() == SHUTDOWN {
                        return Some(UnitEvent::MayGoDown);
                    }
                    let was_skipped = self.skipped.take_if(|skipped| *skipped == unit).is_some();
                    if !selects(&unit) {
                        continue;
                    }
                    return Some(match invocation {
                        Some(invocation) if was_skipped => {
                            UnitEvent::StartSkipped(unit, invocation)
                        }
                        _ => UnitEvent::Changed(unit),
                    });
                }
                Some(ManagerSignal::Skipped(unit)) => self.skipped = Some(unit),
                Some(ManagerSignal::Reloaded) => return Some(UnitEvent::Resync),
                Some(ManagerSignal::NewManager) => {
                    // A manager keeps its subscribers when it is re-executed, but not when it is restarted.
                    if bus::with_timeout(bus::subscribe(&self.connection)).await.is_err() {
                        return None;
                    }
                    return Some(UnitEvent::Resync);
                }
                None => {}
            }
        }
    }
}

/// The content of a message of the manager.
#[derive(Debug, PartialEq, Eq)]
enum ManagerSignal {
    /// A unit, selected or not, has changed; with its invocation if that was sent.
    Unit(UnitName, Option<InvocationId>),
    /// The condition of a unit prevented its start; its [`ManagerSignal::Unit`] follows.
    Skipped(UnitName),
    /// A reload is finished.
    Reloaded,
    /// A new process has taken the manager's bus name.
    NewManager,
}

impl ManagerSignal {
    /// Parses a message; the values of units that are not selected are not read.
    fn from_message(message: &Message, selects: &Selection) -> Option<Self> {
        let header = message.header();
        let body = message.body();
        match header.member()?.as_str() {
            "PropertiesChanged" => {
                let unit = UnitName::new(unit_of_path(header.path()?.as_str())?).ok()?;
                if !selects(&unit) {
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
                Some(Self::Unit(UnitName::new(unit).ok()?, None))
            }
            "Reloading" => (!body.deserialize::<bool>().ok()?).then_some(Self::Reloaded),
            "NameOwnerChanged" => {
                let (_, _, owner) = body.deserialize::<(String, String, String)>().ok()?;
                // Without an owner there is no manager to subscribe to yet.
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
        // The service's values and the unit's arrive as two signals. One rule matches both, because each rule
        // has its own queue and they must stay in order: a skipped unit is unloaded before it could be read.
        signal()
            .sender(MANAGER)
            .interface("org.freedesktop.DBus.Properties")
            .member("PropertiesChanged")
            .path_namespace("/org/freedesktop/systemd1/unit")
            .build()?,
        from_manager("JobRemoved")?,
        from_manager("Reloading")?,
        signal()
            // From any sender: a forged signal only causes one superfluous read.
            .interface("org.freedesktop.DBus")
            .member("NameOwnerChanged")
            .add_arg(MANAGER)
            .build()?,
    ])
}

#[cfg(test)]
mod tests;
