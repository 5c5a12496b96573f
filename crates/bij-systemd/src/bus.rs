//! The D-Bus connection to a service manager, with its time-outs and the meaning of its errors.

use std::future::Future;
use std::time::Duration;

use bij_core::ExperimentId;
use bij_core::port::UnitError;
use futures_util::future::try_join_all;
use thiserror::Error;
use tokio::sync::Mutex;
use zbus::names::OwnedUniqueName;
use zbus::proxy::CacheProperties;
use zbus::{Connection, fdo};

use crate::RuntimeScope;
use crate::job::add_job_match;
use crate::properties::UnitProperties;
use crate::proxy::{JobProxy, ManagerProxy, PropertyReaderProxy, unit_path};

/// Interface of what every kind of unit has.
const UNIT_INTERFACE: &str = "org.freedesktop.systemd1.Unit";
/// Interface of what only services have.
const SERVICE_INTERFACE: &str = "org.freedesktop.systemd1.Service";

/// Time-out of a call. PID 1 answers within a millisecond, except during a reload, when all callers wait.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Time-out of a reload. Generators may take 90 s, and systemctl waits twice as long.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(180);

/// How often a job's unit is polled while no signal arrives.
const JOB_POLL_INTERVAL: Duration = Duration::from_secs(5);

/// A call that was not answered in time.
#[derive(Debug, Error)]
#[error("no answer within {} s", after.as_secs())]
struct NoAnswer {
    after: Duration,
}

/// The attempted operation, for error messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation<'a> {
    /// `start`, `inspect`, …
    pub(crate) verb: &'static str,
    /// The experiment that it is applied to, if any.
    pub(crate) id: Option<&'a ExperimentId>,
}

impl std::fmt::Display for Operation<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.id {
            Some(id) => write!(f, "{} {id}", self.verb),
            None => f.write_str(self.verb),
        }
    }
}

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
    /// Connects to the bus of the manager of `scope`.
    pub(crate) async fn connect(scope: RuntimeScope) -> Result<Self, UnitError> {
        let bus = Self::new(scope);
        bus.try_connect().await?;
        Ok(bus)
    }

    /// Creates the connections to the manager of `scope`; the first call opens them.
    pub(crate) fn new(scope: RuntimeScope) -> Self {
        let (calls, signals) =
            (ReconnectingConnection::new(scope), ReconnectingConnection::for_job_signals(scope));
        Self { calls, signals, job_poll_interval: JOB_POLL_INTERVAL }
    }

    /// Connects now, to find out whether the bus can be reached.
    pub(crate) async fn try_connect(&self) -> Result<(), UnitError> {
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
    pub(crate) async fn manager(&self) -> Result<ManagerProxy<'static>, UnitError> {
        with_timeout(async { manager(&self.calls.connection().await?).await }).await
    }

    /// Returns the connection that receives the ends of jobs; the caller must [`subscribe`] on it.
    pub(crate) async fn signals(&self) -> zbus::Result<Connection> {
        self.signals.connection().await
    }

    /// Reads all properties of a unit and of its service.
    pub(crate) async fn unit(&self, id: &ExperimentId) -> Result<UnitProperties, UnitError> {
        let read = async {
            let proxy = self.property_reader(id).await?;
            let (service, unit) =
                tokio::try_join!(proxy.get_all(SERVICE_INTERFACE), proxy.get_all(UNIT_INTERFACE))?;
            Ok(UnitProperties::new(service, unit))
        };
        call(Operation { verb: "inspect", id: Some(id) }, read).await
    }

    /// Reads only what the result of a start needs: all properties take PID 1 ten times as long.
    pub(crate) async fn start_properties(
        &self,
        id: &ExperimentId,
    ) -> Result<UnitProperties, UnitError> {
        const UNIT: [&str; 3] = ["ActiveState", "ConditionTimestampMonotonic", "ConditionResult"];
        const SERVICE: [&str; 3] = ["Result", "Environment", "ExecCondition"];
        let read = async {
            let proxy = self.property_reader(id).await?;
            let named = async |interface, names: [&'static str; 3]| {
                let values = names.map(|name| proxy.get(interface, name));
                let values = try_join_all(values).await?;
                let names = names.into_iter().map(ToOwned::to_owned);
                zbus::Result::Ok(names.zip(values).collect())
            };
            let (service, unit) =
                tokio::try_join!(named(SERVICE_INTERFACE, SERVICE), named(UNIT_INTERFACE, UNIT))?;
            Ok(UnitProperties::new(service, unit))
        };
        call(Operation { verb: "inspect", id: Some(id) }, read).await
    }

    async fn property_reader(
        &self,
        id: &ExperimentId,
    ) -> zbus::Result<PropertyReaderProxy<'static>> {
        PropertyReaderProxy::builder(&self.calls.connection().await?)
            .path(unit_path(&id.unit_name()))
            .cache_properties(CacheProperties::No)
            .build()
            .await
    }

    /// Returns the type of a job (`start`, `stop`, `restart`, …); `None` if the job is over.
    pub(crate) async fn job_type(&self, job: &str) -> Result<Option<String>, UnitError> {
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
        call(Operation { verb: "inspect the job", id: None }, read).await
    }

    /// Makes the manager reload all unit files and waits for the end of the reload.
    pub(crate) async fn reload(&self) -> Result<(), UnitError> {
        let manager = self.manager().await?;
        with_time_limit(RELOAD_TIMEOUT, manager.reload())
            .await
            .map_err(|error| error.into_unit_error(Operation { verb: "reload", id: None }))
    }
}

/// Awaits one call and maps its error.
pub(crate) async fn call<T>(
    operation: Operation<'_>,
    answer: impl Future<Output = zbus::Result<T>>,
) -> Result<T, UnitError> {
    with_time_limit(CALL_TIMEOUT, answer).await.map_err(|error| error.into_unit_error(operation))
}

/// Awaits one call that not every manager supports; `needs` names the requirement.
pub(crate) async fn call_if_supported<T>(
    operation: Operation<'_>,
    needs: &'static str,
    answer: impl Future<Output = zbus::Result<T>>,
) -> Result<T, UnitError> {
    let unknown = |error: &fdo::Error| {
        matches!(error, fdo::Error::NotSupported(_) | fdo::Error::UnknownMethod(_))
    };
    with_time_limit(CALL_TIMEOUT, answer).await.map_err(|error| match error {
        CallFailure::Bus(zbus::Error::FDO(error)) if unknown(&error) => {
            UnitError::Unsupported(needs)
        }
        error => error.into_unit_error(operation),
    })
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

/// Awaits a bus operation with the time-out of a call; any failure is [`UnitError::Unreachable`].
pub(crate) async fn with_timeout<T>(
    answer: impl Future<Output = zbus::Result<T>>,
) -> Result<T, UnitError> {
    with_time_limit(CALL_TIMEOUT, answer).await.map_err(unreachable)
}

async fn manager(connection: &Connection) -> zbus::Result<ManagerProxy<'static>> {
    ManagerProxy::builder(connection).cache_properties(CacheProperties::No).build().await
}

/// Why a call has no result.
enum CallFailure {
    TimedOut(NoAnswer),
    Bus(zbus::Error),
}

impl From<zbus::Error> for CallFailure {
    fn from(error: zbus::Error) -> Self {
        Self::Bus(error)
    }
}

async fn with_time_limit<T>(
    limit: Duration,
    answer: impl Future<Output = zbus::Result<T>>,
) -> Result<T, CallFailure> {
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => answer.map_err(CallFailure::Bus),
        Err(_) => Err(CallFailure::TimedOut(NoAnswer { after: limit })),
    }
}

fn unreachable(error: CallFailure) -> UnitError {
    match error {
        CallFailure::TimedOut(late) => UnitError::Unreachable(Box::new(late)),
        CallFailure::Bus(error) => UnitError::Unreachable(Box::new(error)),
    }
}

impl CallFailure {
    /// Maps the error of a call that was made for `operation`.
    fn into_unit_error(self, operation: Operation<'_>) -> UnitError {
        let error = match self {
            Self::Bus(error) => error,
            late @ Self::TimedOut(_) => return unreachable(late),
        };
        let kind = classify(&error);
        match (kind, operation.id) {
            (ErrorKind::NoUnit, Some(id)) => UnitError::NotFound(id.clone()),
            (ErrorKind::Unreachable, _) => unreachable(Self::Bus(error)),
            (ErrorKind::Denied, _) => {
                UnitError::Denied { action: operation.to_string(), source: Box::new(error) }
            }
            (ErrorKind::GoingDown, _) => UnitError::GoingDown(Box::new(error)),
            (ErrorKind::NoUnit | ErrorKind::Refused, _) => {
                UnitError::Refused { action: operation.to_string(), source: Box::new(error) }
            }
        }
    }
}

enum ErrorKind {
    NoUnit,
    Denied,
    Unreachable,
    GoingDown,
    Refused,
}

/// Classifies errors of the bus and of systemd. org.freedesktop.systemd1(5) does not list them; the names are
/// in `libsystemd/sd-bus/bus-common-errors.h`.
fn classify(error: &zbus::Error) -> ErrorKind {
    use fdo::Error as F;
    match error {
        zbus::Error::InputOutput(_) | zbus::Error::Connection(..) | zbus::Error::Handshake(_) => {
            ErrorKind::Unreachable
        }
        zbus::Error::Address(_) => ErrorKind::Unreachable,
        zbus::Error::FDO(error) => match &**error {
            F::AccessDenied(_) | F::AuthFailed(_) | F::InteractiveAuthorizationRequired(_) => {
                ErrorKind::Denied
            }
            F::ServiceUnknown(_)
            | F::NameHasNoOwner(_)
            | F::NoReply(_)
            | F::NoServer(_)
            | F::Disconnected(_)
            | F::Timeout(_)
            | F::TimedOut(_)
            | F::SpawnFailed(_)
            | F::SpawnServiceNotFound(_) => ErrorKind::Unreachable,
            F::ZBus(inner) => classify(inner),
            _ => ErrorKind::Refused,
        },
        zbus::Error::MethodError(name, ..) => match name.rsplit('.').next() {
            Some("NoSuchUnit" | "LoadFailed") => ErrorKind::NoUnit,
            Some("ShuttingDown") => ErrorKind::Unreachable,
            // A job of mode `replace` conflicts only with the stop jobs of a shutdown, which are
            // `replace-irreversibly` (systemctl(1)).
            Some("TransactionIsDestructive") => ErrorKind::GoingDown,
            _ => ErrorKind::Refused,
        },
        _ => ErrorKind::Refused,
    }
}

/// A connection that is opened on first use and again after it was lost, for example by a restart of the bus.
#[derive(Debug)]
struct ReconnectingConnection {
    scope: Option<RuntimeScope>,
    receives_job_signals: bool,
    open: Mutex<Option<Connection>>,
}

impl ReconnectingConnection {
    /// Creates a connection for calls.
    fn new(scope: RuntimeScope) -> Self {
        Self { scope: Some(scope), receives_job_signals: false, open: Mutex::new(None) }
    }

    /// Creates a connection that also receives the ends of jobs.
    fn for_job_signals(scope: RuntimeScope) -> Self {
        Self { receives_job_signals: true, ..Self::new(scope) }
    }

    #[cfg(test)]
    fn from_peer(peer: Connection) -> Self {
        Self { scope: None, receives_job_signals: false, open: Mutex::new(Some(peer)) }
    }

    async fn connection(&self) -> zbus::Result<Connection> {
        let mut open = self.open.lock().await;
        if let Some(connection) = open.as_ref().filter(|connection| !connection.is_closed()) {
            return Ok(connection.clone());
        }
        let connection = connect(self.scope.ok_or(zbus::Error::Unsupported)?).await?;
        if self.receives_job_signals {
            add_job_match(&connection).await?;
        }
        Ok(open.insert(connection).clone())
    }
}

/// Address of the system bus. `$DBUS_SYSTEM_BUS_ADDRESS` is ignored, because a process that runs as root must
/// not be led to another user's bus.
const SYSTEM_BUS: &str = "unix:path=/run/dbus/system_bus_socket";

/// Connects to the bus of a scope.
pub(crate) async fn connect(scope: RuntimeScope) -> zbus::Result<Connection> {
    let builder = match scope {
        RuntimeScope::System => zbus::connection::Builder::address(SYSTEM_BUS),
        RuntimeScope::User => zbus::connection::Builder::session(),
    };
    builder.build().await
}
