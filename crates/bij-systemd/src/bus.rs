//! The D-Bus connection to a service manager, with its time-outs and the meaning of its errors.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Mutex;
use zbus::names::OwnedUniqueName;
use zbus::proxy::CacheProperties;
use zbus::{Connection, OwnedVariant, fdo};

use crate::error::Operation;
use crate::job::add_job_match;
use crate::properties::UnitProperties;
use crate::proxy::{JobProxy, ManagerProxy, PropertyReaderProxy, unit_path};
use crate::{ManagerAddress, ManagerError, UnitName};

/// Interface of what every kind of unit has.
const UNIT_INTERFACE: &str = "org.freedesktop.systemd1.Unit";

/// Time-out of a call. PID 1 answers within a millisecond, except during a reload, when all callers wait.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Time-out of a reload. Generators may take 90 s, and systemctl waits twice as long.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(180);

/// How often a job's unit is polled while no signal arrives.
const JOB_POLL_INTERVAL: Duration = Duration::from_secs(5);

/// Connections to one service manager, re-established after they are lost.
#[derive(Debug)]
pub(crate) struct Bus {
    calls: ReconnectingConnection,
    /// A separate connection for signals, because a signal stream that is not read would block answers behind
    /// it. The first job opens it.
    signals: ReconnectingConnection,
    job_poll_interval: Duration,
}

impl Bus {
    /// Connects to the manager at `address`.
    pub(crate) async fn connect(address: ManagerAddress) -> Result<Self, ManagerError> {
        let bus = Self::new(address);
        bus.try_connect().await?;
        Ok(bus)
    }

    /// Creates the connections to the manager at `address`; the first call opens them.
    pub(crate) fn new(address: ManagerAddress) -> Self {
        let calls = ReconnectingConnection::new(address.clone());
        let signals = ReconnectingConnection::for_job_signals(address);
        Self { calls, signals, job_poll_interval: JOB_POLL_INTERVAL }
    }

    /// Connects now, to find out whether the bus can be reached.
    pub(crate) async fn try_connect(&self) -> Result<(), ManagerError> {
        with_timeout(self.calls.connection()).await.map(drop)
    }

    /// Connects to a manager at the other end of a peer-to-peer connection.
    #[cfg(test)]
    pub(crate) fn from_peer(peer: Connection, job_poll_interval: Duration) -> Self {
        Self {
            calls: ReconnectingConnection::from_peer(peer.clone()),
            signals: ReconnectingConnection::from_peer(peer),
            job_poll_interval,
        }
    }

    /// How often a job's unit is polled while no signal arrives.
    pub(crate) fn job_poll_interval(&self) -> Duration {
        self.job_poll_interval
    }

    /// Returns a proxy of the manager.
    pub(crate) async fn manager(&self) -> Result<ManagerProxy<'static>, ManagerError> {
        with_timeout(async { manager(&self.calls.connection().await?).await }).await
    }

    /// Returns the connection that receives the ends of jobs; the caller must [`subscribe`] on it.
    pub(crate) async fn signals(&self) -> zbus::Result<Connection> {
        self.signals.connection().await
    }

    /// Reads all properties of a unit: those of its kind, and those that every unit has.
    pub(crate) async fn unit(&self, unit: &UnitName) -> Result<UnitProperties, ManagerError> {
        let operation = Operation::on_instance("inspect", unit)?;
        let read = async {
            let proxy = self.property_reader(unit).await?;
            let of_kind = async {
                match unit.kind().interface() {
                    Some(interface) => proxy.get_all(interface).await,
                    None => Ok(HashMap::new()),
                }
            };
            let (of_kind, unit) = tokio::try_join!(of_kind, proxy.get_all(UNIT_INTERFACE))?;
            Ok(UnitProperties::new(of_kind, unit))
        };
        call(operation, read).await
    }

    /// Reads some properties of a unit: `of_kind` are those of its kind. All properties take PID 1 ten times as long.
    pub(crate) async fn some_properties(
        &self,
        unit: &UnitName,
        of_unit: &[&str],
        of_kind: &[&str],
    ) -> Result<UnitProperties, ManagerError> {
        let operation = Operation::on_instance("inspect", unit)?;
        let read = async {
            let proxy = self.property_reader(unit).await?;
            let named = async |interface, names: &[&str]| {
                let values = names.iter().map(|name| proxy.get(interface, name));
                let values = join_all(values.collect()).await?;
                let names = names.iter().map(|name| (*name).to_owned());
                zbus::Result::Ok(names.zip(values).collect::<HashMap<_, _>>())
            };
            let kind = unit.kind().interface().unwrap_or(UNIT_INTERFACE);
            let (of_kind, of_unit) =
                tokio::try_join!(named(kind, of_kind), named(UNIT_INTERFACE, of_unit))?;
            Ok(UnitProperties::new(of_kind, of_unit))
        };
        call(operation, read).await
    }

    /// Reads one property of a unit: of those of its kind, or else of those that every unit has.
    pub(crate) async fn property(
        &self,
        operation: Operation,
        unit: &UnitName,
        name: &str,
    ) -> Result<OwnedVariant, ManagerError> {
        let read = async {
            let proxy = self.property_reader(unit).await?;
            let Some(interface) = unit.kind().interface() else {
                return proxy.get(UNIT_INTERFACE, name).await;
            };
            match proxy.get(interface, name).await {
                Err(zbus::Error::FDO(error))
                    if matches!(*error, fdo::Error::UnknownProperty(_)) =>
                {
                    proxy.get(UNIT_INTERFACE, name).await
                }
                read => read,
            }
        };
        call(operation, read).await
    }

    async fn property_reader(&self, unit: &UnitName) -> zbus::Result<PropertyReaderProxy<'static>> {
        PropertyReaderProxy::builder(&self.calls.connection().await?)
            .path(unit_path(unit.as_str()))
            .cache_properties(CacheProperties::No)
            .build()
            .await
    }

    /// Returns the type of a job (`start`, `stop`, `restart`, …); `None` if the job is over.
    pub(crate) async fn job_type(&self, job: &str) -> Result<Option<String>, ManagerError> {
        let read = async {
            let proxy = JobProxy::builder(&self.calls.connection().await?)
                .path(job.to_owned())
                .cache_properties(CacheProperties::No)
                .build()
                .await?;
            match proxy.job_type().await {
                Err(zbus::Error::FDO(error)) if matches!(*error, fdo::Error::UnknownObject(_)) => {
                    Ok(None)
                }
                read => read.map(Some),
            }
        };
        call(Operation::new("inspect the job"), read).await
    }

    /// Makes the manager reload all unit files and waits for the end of the reload.
    pub(crate) async fn reload(&self) -> Result<(), ManagerError> {
        let manager = self.manager().await?;
        with_time_limit(RELOAD_TIMEOUT, Operation::new("reload"), manager.reload()).await
    }
}

/// Awaits calls that are sent together; returns their answers in order, or the first error.
async fn join_all<T>(calls: Vec<impl Future<Output = zbus::Result<T>>>) -> zbus::Result<Vec<T>> {
    let mut calls: Vec<_> = calls.into_iter().map(Box::pin).collect();
    let mut answers: Vec<Option<T>> = calls.iter().map(|_| None).collect();
    poll_fn(move |context| {
        for (call, answer) in calls.iter_mut().zip(&mut answers) {
            if answer.is_none()
                && let Poll::Ready(ready) = call.as_mut().poll(context)
            {
                *answer = match ready {
                    Ok(ready) => Some(ready),
                    Err(error) => return Poll::Ready(Err(error)),
                };
            }
        }
        if answers.iter().any(Option::is_none) {
            return Poll::Pending;
        }
        Poll::Ready(Ok(answers.drain(..).flatten().collect()))
    })
    .await
}

/// Awaits one call and maps its error.
pub(crate) async fn call<T>(
    operation: Operation,
    answer: impl Future<Output = zbus::Result<T>>,
) -> Result<T, ManagerError> {
    with_time_limit(CALL_TIMEOUT, operation, answer).await
}

/// Awaits one call that not every manager supports; `needs` names the requirement.
pub(crate) async fn call_if_supported<T>(
    operation: Operation,
    needs: &'static str,
    answer: impl Future<Output = zbus::Result<T>>,
) -> Result<T, ManagerError> {
    let unknown = |error: &fdo::Error| {
        matches!(error, fdo::Error::NotSupported(_) | fdo::Error::UnknownMethod(_))
    };
    match tokio::time::timeout(CALL_TIMEOUT, answer).await {
        Ok(Err(zbus::Error::FDO(error))) if unknown(&error) => {
            Err(ManagerError::Unsupported { operation, needs })
        }
        Ok(answer) => answer.map_err(|error| ManagerError::from_bus(error, operation)),
        Err(_) => Err(ManagerError::no_answer(CALL_TIMEOUT)),
    }
}

/// Subscribes this connection to the manager's signals. Returns the manager's unique name; `None` on a
/// peer-to-peer connection.
pub(crate) async fn subscribe(connection: &Connection) -> zbus::Result<Option<OwnedUniqueName>> {
    let manager = manager(connection).await?;
    let answer = match manager.inner().call_method("Subscribe", &()).await {
        // The manager refuses a second subscription of the same connection; the first stays valid.
        Err(zbus::Error::MethodError(name, _, answer)) if name.ends_with("AlreadySubscribed") => {
            answer
        }
        answer => answer?,
    };
    Ok(answer.header().sender().map(|sender| sender.to_owned().into()))
}

/// Awaits a bus operation with the time-out of a call; any failure is [`ManagerError::Unreachable`].
pub(crate) async fn with_timeout<T>(
    answer: impl Future<Output = zbus::Result<T>>,
) -> Result<T, ManagerError> {
    match tokio::time::timeout(CALL_TIMEOUT, answer).await {
        Ok(answer) => answer.map_err(ManagerError::unreachable),
        Err(_) => Err(ManagerError::no_answer(CALL_TIMEOUT)),
    }
}

async fn manager(connection: &Connection) -> zbus::Result<ManagerProxy<'static>> {
    ManagerProxy::builder(connection).cache_properties(CacheProperties::No).build().await
}

/// Awaits one call, with its own time-out.
async fn with_time_limit<T>(
    limit: Duration,
    operation: Operation,
    answer: impl Future<Output = zbus::Result<T>>,
) -> Result<T, ManagerError> {
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => answer.map_err(|error| ManagerError::from_bus(error, operation)),
        Err(_) => Err(ManagerError::no_answer(limit)),
    }
}

/// A connection that is opened on first use and again after it was lost, for example by a restart of the bus.
#[derive(Debug)]
struct ReconnectingConnection {
    address: Option<ManagerAddress>,
    receives_job_signals: bool,
    open: Mutex<Option<Connection>>,
}

impl ReconnectingConnection {
    /// Creates a connection for calls.
    fn new(address: ManagerAddress) -> Self {
        Self { address: Some(address), receives_job_signals: false, open: Mutex::new(None) }
    }

    /// Creates a connection that also receives the ends of jobs.
    fn for_job_signals(address: ManagerAddress) -> Self {
        Self { receives_job_signals: true, ..Self::new(address) }
    }

    #[cfg(test)]
    fn from_peer(peer: Connection) -> Self {
        Self { address: None, receives_job_signals: false, open: Mutex::new(Some(peer)) }
    }

    async fn connection(&self) -> zbus::Result<Connection> {
        let mut open = self.open.lock().await;
        if let Some(connection) = open.as_ref().filter(|connection| !connection.is_closed()) {
            return Ok(connection.clone());
        }
        let address = self.address.as_ref().ok_or(zbus::Error::Unsupported)?;
        let connection = connect(address).await?;
        if self.receives_job_signals && connection.is_bus() {
            add_job_match(&connection).await?;
        }
        Ok(open.insert(connection).clone())
    }
}

/// Address of the system bus. `$DBUS_SYSTEM_BUS_ADDRESS` is ignored, because a process that runs as root must
/// not be led to another user's bus.
const SYSTEM_BUS: &str = "unix:path=/run/dbus/system_bus_socket";

/// Connects to the bus of a manager, or to the manager itself.
pub(crate) async fn connect(address: &ManagerAddress) -> zbus::Result<Connection> {
    use zbus::connection::Builder;
    match address {
        ManagerAddress::System => Builder::address(SYSTEM_BUS).build().await,
        ManagerAddress::User => Builder::session().build().await,
        ManagerAddress::Peer(socket) => {
            let stream = std::os::unix::net::UnixStream::connect(socket)?;
            Builder::unix_stream(stream).p2p().build().await
        }
    }
}
