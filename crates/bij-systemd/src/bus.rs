//! The connection to a service manager: who is called, how long an answer may take, and what an
//! error means.

mod line;

use std::future::Future;
use std::time::Duration;

use bij_core::ExperimentId;
use bij_core::port::UnitError;
use thiserror::Error;
use zbus::names::OwnedUniqueName;
use zbus::proxy::CacheProperties;
use zbus::{Connection, fdo};

use crate::RuntimeScope;
use crate::properties::Properties;
use crate::proxy::{AllPropertiesProxy, JobProxy, ManagerProxy, unit_path};
use line::Line;

pub(crate) use line::open;

/// How long PID 1 may take for an answer. It answers within a millisecond, unless it reloads: then
/// everybody waits.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// How long a reload may take: generators have 90 s, and systemctl waits twice as long.
const RELOAD_WITHIN: Duration = Duration::from_secs(180);

/// How often a unit is asked about its job while no signal comes.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// What PID 1 was asked for when no answer came in time.
#[derive(Debug, Error)]
#[error("no answer within {} s", after.as_secs())]
struct NoAnswer {
    after: Duration,
}

/// What is being done, for errors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Action<'a> {
    /// `start`, `look at`, …
    pub(crate) verb: &'static str,
    /// With which experiment, if with one.
    pub(crate) id: Option<&'a ExperimentId>,
}

impl std::fmt::Display for Action<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.id {
            Some(id) => write!(f, "{} {id}", self.verb),
            None => f.write_str(self.verb),
        }
    }
}

/// A connection to one service manager; made anew when it is lost.
#[derive(Debug)]
pub(crate) struct Bus {
    calls: Line,
    /// Signals come by a connection of their own: a stream that nobody reads for a while would
    /// hold up the answers behind it. Opened by the first job.
    signals: Line,
    ask_every: Duration,
}

impl Bus {
    /// Connects to the bus on which the manager of `scope` is.
    pub(crate) async fn connect(scope: RuntimeScope) -> Result<Self, UnitError> {
        let bus = Self::to(scope);
        bus.try_connect().await?;
        Ok(bus)
    }

    /// The bus on which the manager of `scope` is; connected to when it is wanted.
    pub(crate) fn to(scope: RuntimeScope) -> Self {
        let (calls, signals) = (Line::to(scope), Line::hearing_of_jobs(scope));
        Self { calls, signals, ask_every: ASK_EVERY }
    }

    /// Connects now, to see whether it can be reached.
    pub(crate) async fn try_connect(&self) -> Result<(), UnitError> {
        // It stays in its line; here it is only seen that there is one.
        in_time(self.calls.connection()).await.map(drop)
    }

    /// A manager at the other end of a connection without a bus.
    #[cfg(test)]
    pub(crate) fn over(peer: Connection, ask_every: Duration) -> Self {
        Self { calls: Line::over(peer.clone()), signals: Line::over(peer), ask_every }
    }

    /// How often a unit is asked about its job while no signal comes.
    pub(crate) fn ask_every(&self) -> Duration {
        self.ask_every
    }

    /// The manager, for calls.
    pub(crate) async fn manager(&self) -> Result<ManagerProxy<'static>, UnitError> {
        in_time(async { manager(&self.calls.connection().await?).await }).await
    }

    /// The connection on which the ends of jobs are heard by whoever has
    /// [subscribed](subscribe) to them.
    pub(crate) async fn signals(&self) -> zbus::Result<Connection> {
        self.signals.connection().await
    }

    /// All properties of a unit and of its service, read at once.
    pub(crate) async fn unit(&self, id: &ExperimentId) -> Result<Properties, UnitError> {
        let read = async {
            let proxy = AllPropertiesProxy::builder(&self.calls.connection().await?)
                .path(unit_path(&id.unit_name()))
                .cache_properties(CacheProperties::No)
                .build()
                .await?;
            let (service, unit) = tokio::try_join!(
                proxy.get_all("org.freedesktop.systemd1.Service"),
                proxy.get_all("org.freedesktop.systemd1.Unit"),
            )?;
            Ok(Properties::new(service, unit))
        };
        call(Action { verb: "look at", id: Some(id) }, read).await
    }

    /// The type of a job (`start`, `stop`, `restart`, …); `None` if it is gone.
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
        call(Action { verb: "look at the job", id: None }, read).await
    }

    /// Has all units read again, and waits until they are.
    pub(crate) async fn reload(&self) -> Result<(), UnitError> {
        let manager = self.manager().await?;
        within(RELOAD_WITHIN, manager.reload())
            .await
            .map_err(|failure| failure.told_by(Action { verb: "reload", id: None }))
    }
}

/// Makes one call, and gives its error a meaning.
pub(crate) async fn call<T>(
    action: Action<'_>,
    answer: impl Future<Output = zbus::Result<T>>,
) -> Result<T, UnitError> {
    within(ANSWER_WITHIN, answer).await.map_err(|failure| failure.told_by(action))
}

/// Makes one call that not every manager knows or can do; `needs` says what that takes.
pub(crate) async fn call_if_known<T>(
    action: Action<'_>,
    needs: &'static str,
    answer: impl Future<Output = zbus::Result<T>>,
) -> Result<T, UnitError> {
    let unknown = |error: &fdo::Error| {
        matches!(error, fdo::Error::NotSupported(_) | fdo::Error::UnknownMethod(_))
    };
    within(ANSWER_WITHIN, answer).await.map_err(|failure| match failure {
        Failure::Bus(zbus::Error::FDO(error)) if unknown(&error) => UnitError::Unsupported(needs),
        failure => failure.told_by(action),
    })
}

/// Has the manager tell its changes on this connection; says who it is, if there is a bus to tell.
pub(crate) async fn subscribe(connection: &Connection) -> zbus::Result<Option<OwnedUniqueName>> {
    let manager = manager(connection).await?;
    let answer = match manager.inner().call_method("Subscribe", &()).await {
        // A second subscription of the same connection is refused, and does no harm.
        Err(zbus::Error::MethodError(name, _, answer)) if name.ends_with("AlreadySubscribed") => {
            answer
        }
        answer => answer?,
    };
    Ok(answer.header().sender().map(|sender| sender.to_owned().into()))
}

/// Waits for something of the bus, as long as for an answer.
pub(crate) async fn in_time<T>(
    answer: impl Future<Output = zbus::Result<T>>,
) -> Result<T, UnitError> {
    within(ANSWER_WITHIN, answer).await.map_err(unreachable)
}

async fn manager(connection: &Connection) -> zbus::Result<ManagerProxy<'static>> {
    ManagerProxy::builder(connection).cache_properties(CacheProperties::No).build().await
}

/// Why a call has no answer.
enum Failure {
    Late(NoAnswer),
    Bus(zbus::Error),
}

impl From<zbus::Error> for Failure {
    fn from(error: zbus::Error) -> Self {
        Self::Bus(error)
    }
}

async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = zbus::Result<T>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => answer.map_err(Failure::Bus),
        Err(_) => Err(Failure::Late(NoAnswer { after: limit })),
    }
}

fn unreachable(failure: Failure) -> UnitError {
    match failure {
        Failure::Late(late) => UnitError::Unreachable(Box::new(late)),
        Failure::Bus(error) => UnitError::Unreachable(Box::new(error)),
    }
}

impl Failure {
    /// What the failure means to whoever asked for `action`.
    fn told_by(self, action: Action<'_>) -> UnitError {
        let error = match self {
            Self::Bus(error) => error,
            late @ Self::Late(_) => return unreachable(late),
        };
        let kind = kind(&error);
        match (kind, action.id) {
            (Kind::NoUnit, Some(id)) => UnitError::NotFound(id.clone()),
            (Kind::Unreachable, _) => unreachable(Self::Bus(error)),
            (Kind::Denied, _) => {
                UnitError::Denied { action: action.to_string(), source: Box::new(error) }
            }
            (Kind::GoingDown, _) => UnitError::GoingDown(Box::new(error)),
            (Kind::NoUnit | Kind::Refused, _) => {
                UnitError::Refused { action: action.to_string(), source: Box::new(error) }
            }
        }
    }
}

enum Kind {
    NoUnit,
    Denied,
    Unreachable,
    GoingDown,
    Refused,
}

/// Sorts the errors of the bus and of systemd (org.freedesktop.systemd1(5) has no list of its own;
/// the names are those of `libsystemd/sd-bus/bus-common-errors.h`).
fn kind(error: &zbus::Error) -> Kind {
    use fdo::Error as F;
    match error {
        zbus::Error::InputOutput(_) | zbus::Error::Connection(..) | zbus::Error::Handshake(_) => {
            Kind::Unreachable
        }
        zbus::Error::Address(_) => Kind::Unreachable,
        zbus::Error::FDO(error) => match &**error {
            F::AccessDenied(_) | F::AuthFailed(_) | F::InteractiveAuthorizationRequired(_) => {
                Kind::Denied
            }
            F::ServiceUnknown(_)
            | F::NameHasNoOwner(_)
            | F::NoReply(_)
            | F::NoServer(_)
            | F::Disconnected(_)
            | F::Timeout(_)
            | F::TimedOut(_)
            | F::SpawnFailed(_)
            | F::SpawnServiceNotFound(_) => Kind::Unreachable,
            F::ZBus(inner) => kind(inner),
            _ => Kind::Refused,
        },
        zbus::Error::MethodError(name, ..) => match name.rsplit('.').next() {
            Some("NoSuchUnit" | "LoadFailed") => Kind::NoUnit,
            Some("ShuttingDown") => Kind::Unreachable,
            // A job that replaces others conflicts only with what cannot be replaced: the stops of a
            // shutdown (`replace-irreversibly`, systemctl(1)).
            Some("TransactionIsDestructive") => Kind::GoingDown,
            _ => Kind::Refused,
        },
        _ => Kind::Refused,
    }
}
