//! The errors of calls to a service manager.

use std::fmt;
use std::time::Duration;

use bij_core::port::UnitError;
use bij_core::{ExperimentId, JobResult, LoadState};
use thiserror::Error;
use zbus::fdo;

use crate::UnitName;
use crate::job::JobKind;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// An operation that was attempted, for error messages: a verb, and the unit that it is applied to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    verb: &'static str,
    unit: Option<UnitName>,
}

impl Operation {
    /// Creates an operation of the manager itself.
    pub(crate) const fn new(verb: &'static str) -> Self {
        Self { verb, unit: None }
    }

    /// Creates an operation on a unit.
    pub(crate) fn on(verb: &'static str, unit: &UnitName) -> Self {
        Self { verb, unit: Some(unit.clone()) }
    }

    /// Creates an operation that only a unit can do which can be loaded, not a template.
    pub(crate) fn on_instance(verb: &'static str, unit: &UnitName) -> Result<Self, ManagerError> {
        let operation = Self::on(verb, unit);
        if unit.is_template() { Err(ManagerError::Template { operation }) } else { Ok(operation) }
    }

    /// Returns the unit that the operation is applied to, if any.
    pub const fn unit(&self) -> Option<&UnitName> {
        self.unit.as_ref()
    }

    fn experiment(&self) -> Option<ExperimentId> {
        self.unit.as_ref().and_then(UnitName::experiment)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.unit, self.experiment()) {
            (_, Some(id)) => write!(f, "{} {id}", self.verb),
            (Some(unit), None) => write!(f, "{} {unit}", self.verb),
            (None, None) => f.write_str(self.verb),
        }
    }
}

/// Why a call to a service manager has no result.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ManagerError {
    /// There is no such unit.
    #[error("there is no unit {unit}")]
    NotFound {
        /// The unit that the call was about.
        unit: UnitName,
    },
    /// There is a unit of this name already.
    #[error("there is a unit {unit} already")]
    Exists {
        /// The unit that the call was about.
        unit: UnitName,
    },
    /// The manager cannot load the unit, so it cannot be started.
    #[error("the unit {unit} is not loaded: {load}")]
    NotLoaded {
        /// The unit that the call was about.
        unit: UnitName,
        /// The load state that the manager reports.
        load: LoadState,
    },
    /// The name is a template's, which only its instances can do.
    #[error("cannot {operation}, because it is a template: name an instance of it, such as {}", example(.operation))]
    Template {
        /// The operation that was attempted.
        operation: Operation,
    },
    /// The job ended and failed.
    #[error("the {kind} job of {unit} ended with result {result}")]
    Job {
        /// The unit of the job.
        unit: UnitName,
        /// The kind of the job.
        kind: JobKind,
        /// The result that the manager reports.
        result: JobResult,
    },
    /// The caller may not do this.
    #[error("no permission to {operation}")]
    Denied {
        /// The operation that was attempted.
        operation: Operation,
        /// The error of the manager.
        #[source]
        source: Source,
    },
    /// The manager cannot be reached or did not answer in time.
    #[error("the service manager cannot be reached")]
    Unreachable(#[source] Source),
    /// The machine or the user's session shuts down, so nothing can be started any more.
    #[error("the service manager is going down and starts nothing any more")]
    GoingDown(#[source] Source),
    /// This manager does not have the method, or the kernel not what it takes.
    #[error("cannot {operation}: {needs}")]
    Unsupported {
        /// The operation that was attempted.
        operation: Operation,
        /// What the operation takes.
        needs: &'static str,
    },
    /// This manager does not know a property, or does not let it be set.
    #[error("cannot {operation}: this systemd does not know a property, or cannot set it")]
    UnknownProperty {
        /// The operation that was attempted.
        operation: Operation,
        /// The error of the manager, which names the property.
        #[source]
        source: Source,
    },
    /// Another error of the manager.
    #[error("the service manager refused to {operation}")]
    Refused {
        /// The operation that was attempted.
        operation: Operation,
        /// The error of the manager.
        #[source]
        source: Source,
    },
}

fn example(operation: &Operation) -> String {
    let named = operation.unit().and_then(|unit| unit.instantiate("NAME").ok());
    named.map_or_else(String::new, |unit| unit.to_string())
}

impl ManagerError {
    /// Returns whether the same call may succeed later without intervention.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::GoingDown(_))
    }

    pub(crate) fn unreachable(source: impl Into<Source>) -> Self {
        Self::Unreachable(source.into())
    }

    /// Returns the error of a call that was not answered within this time.
    pub(crate) fn no_answer(after: Duration) -> Self {
        Self::unreachable(NoAnswer { after })
    }

    /// Returns the error of a call that the bus or the manager answered with an error.
    pub(crate) fn from_bus(error: zbus::Error, operation: Operation) -> Self {
        match (ErrorKind::from(&error), operation.unit()) {
            (ErrorKind::NoUnit, Some(unit)) => Self::NotFound { unit: unit.clone() },
            (ErrorKind::NotLoaded(load), Some(unit)) => {
                Self::NotLoaded { unit: unit.clone(), load }
            }
            (ErrorKind::Exists, Some(unit)) => Self::Exists { unit: unit.clone() },
            (ErrorKind::Unreachable, _) => Self::unreachable(error),
            (ErrorKind::Denied, _) => Self::Denied { operation, source: error.into() },
            (ErrorKind::GoingDown, _) => Self::GoingDown(error.into()),
            (ErrorKind::UnknownProperty, _) => {
                Self::UnknownProperty { operation, source: error.into() }
            }
            (_, _) => Self::Refused { operation, source: error.into() },
        }
    }
}

/// A call that was not answered in time.
#[derive(Debug, Error)]
#[error("no answer within {} s", after.as_secs())]
struct NoAnswer {
    after: Duration,
}

/// The same error, of a call about an experiment's unit.
impl From<ManagerError> for UnitError {
    fn from(error: ManagerError) -> Self {
        let refused =
            |operation: &Operation, source| Self::Refused { action: operation.to_string(), source };
        match error {
            ManagerError::NotFound { unit } => match unit.experiment() {
                Some(id) => Self::NotFound(id),
                None => refused(
                    &Operation::on("find", &unit),
                    Box::new(ManagerError::NotFound { unit: unit.clone() }),
                ),
            },
            ManagerError::Exists { unit } => refused(
                &Operation::on("start", &unit),
                Box::new(ManagerError::Exists { unit: unit.clone() }),
            ),
            ManagerError::NotLoaded { unit, load } => match unit.experiment() {
                Some(id) => Self::NotLoaded { id, load },
                None => refused(
                    &Operation::on("load", &unit),
                    Box::new(ManagerError::NotLoaded { unit: unit.clone(), load }),
                ),
            },
            ManagerError::Job { unit, kind, result } => match unit.experiment() {
                Some(id) => Self::Job {
                    id,
                    verb: kind.as_str(),
                    result: result.as_str().to_owned(),
                    reason: None,
                },
                None => refused(
                    &Operation::on(kind.as_str(), &unit),
                    Box::new(ManagerError::Job { unit: unit.clone(), kind, result }),
                ),
            },
            ManagerError::Denied { operation, source } => {
                Self::Denied { action: operation.to_string(), source }
            }
            ManagerError::Unreachable(source) => Self::Unreachable(source),
            ManagerError::GoingDown(source) => Self::GoingDown(source),
            ManagerError::Unsupported { needs, .. } => Self::Unsupported(needs),
            ManagerError::UnknownProperty { operation, source }
            | ManagerError::Refused { operation, source } => refused(&operation, source),
            ManagerError::Template { operation } => {
                refused(&operation.clone(), Box::new(ManagerError::Template { operation }))
            }
        }
    }
}

enum ErrorKind {
    NoUnit,
    Exists,
    NotLoaded(LoadState),
    Denied,
    Unreachable,
    GoingDown,
    UnknownProperty,
    Refused,
}

/// Classifies errors of the bus and of systemd. org.freedesktop.systemd1(5) does not list them; the names are
/// in `libsystemd/sd-bus/bus-common-errors.h`.
impl From<&zbus::Error> for ErrorKind {
    fn from(error: &zbus::Error) -> Self {
        use fdo::Error as F;
        match error {
            zbus::Error::InputOutput(_)
            | zbus::Error::Connection(..)
            | zbus::Error::Handshake(_)
            | zbus::Error::Address(_) => Self::Unreachable,
            zbus::Error::FDO(error) => match &**error {
                F::AccessDenied(_) | F::AuthFailed(_) | F::InteractiveAuthorizationRequired(_) => {
                    Self::Denied
                }
                F::ServiceUnknown(_)
                | F::NameHasNoOwner(_)
                | F::NoReply(_)
                | F::NoServer(_)
                | F::Disconnected(_)
                | F::Timeout(_)
                | F::TimedOut(_)
                | F::SpawnFailed(_)
                | F::SpawnServiceNotFound(_) => Self::Unreachable,
                F::UnknownProperty(_) | F::PropertyReadOnly(_) => Self::UnknownProperty,
                F::ZBus(inner) => Self::from(inner),
                _ => Self::Refused,
            },
            zbus::Error::MethodError(name, ..) => match name.rsplit('.').next() {
                Some("NoSuchUnit" | "LoadFailed") => Self::NoUnit,
                Some("UnitMasked") => Self::NotLoaded(LoadState::Masked),
                Some("BadUnitSetting") => Self::NotLoaded(LoadState::BadSetting),
                Some("UnitExists") => Self::Exists,
                Some("ShuttingDown") => Self::Unreachable,
                // A job of mode `replace` conflicts only with the stop jobs of a shutdown, which are
                // `replace-irreversibly` (systemctl(1)).
                Some("TransactionIsDestructive") => Self::GoingDown,
                _ => Self::Refused,
            },
            _ => Self::Refused,
        }
    }
}
