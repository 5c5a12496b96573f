//! Errors of a client.

use std::time::Duration;

use thiserror::Error;

use crate::{Refusal, RefusalKind};

/// Why a call of a client failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// No coordinator runs here.
    #[error("no coordinator runs here")]
    NoCoordinator,
    /// There is a socket, but no process listens on it: the coordinator was killed, and is restarted.
    #[error("the coordinator does not listen at the moment")]
    NotListening,
    /// The coordinator has refused the request.
    #[error("{0}")]
    Refused(Refusal),
    /// No answer came in time; the request may or may not have been executed.
    #[error("the coordinator did not answer within {} s", after.as_secs())]
    Late {
        /// The time-out that has passed.
        after: Duration,
    },
    /// The coordinator cannot be reached, or the connection was lost.
    #[error("the coordinator cannot be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The answer has an unknown form.
    #[error("the coordinator's answer cannot be read; is it of another version?")]
    Unreadable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl ClientError {
    /// Returns the coordinator's refusal, if it is one.
    pub const fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::NoCoordinator
            | Self::NotListening
            | Self::Late { .. }
            | Self::Unreachable(_)
            | Self::Unreadable(_) => None,
        }
    }
}

impl From<Refusal> for ClientError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<zbus::Error> for ClientError {
    fn from(error: zbus::Error) -> Self {
        use zbus::fdo::Error as F;
        match &error {
            zbus::Error::MethodError(name, text, message) => {
                match RefusalKind::from_error_name(name.as_str()) {
                    Some(kind) => Self::Refused(Refusal {
                        kind,
                        text: text.clone().unwrap_or_default(),
                        remedy: message.body().deserialize::<(String, String)>().ok().map(|b| b.1),
                    }),
                    None => Self::Unreadable(Box::new(error)),
                }
            }
            zbus::Error::FDO(inner) => match &**inner {
                F::ServiceUnknown(_) | F::NameHasNoOwner(_) => Self::NoCoordinator,
                F::UnknownMethod(_) | F::UnknownInterface(_) | F::UnknownObject(_) => {
                    Self::Unreadable(Box::new(error))
                }
                F::AccessDenied(text) => {
                    Self::Refused(Refusal::new(RefusalKind::Denied, text.clone()))
                }
                _ => Self::Unreachable(Box::new(error)),
            },
            zbus::Error::InputOutput(_)
            | zbus::Error::Address(_)
            | zbus::Error::Handshake(_)
            | zbus::Error::Connection(..) => Self::Unreachable(Box::new(error)),
            _ => Self::Unreadable(Box::new(error)),
        }
    }
}
