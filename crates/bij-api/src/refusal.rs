//! Refusals of the coordinator, and their form on the wire.
//!
//! A refusal is a D-Bus error whose body is the reason and, if known, the remedy. Libraries show the first string of an
//! error's body.

use bij_core::request::InvalidAttemptsQuery;
use thiserror::Error;
use zbus::message::Header;
use zbus::names::ErrorName;
use zbus::{DBusError, Message};

/// Why the coordinator refuses a request.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text}")]
pub struct Refusal {
    /// The kind of the reason.
    pub kind: RefusalKind,
    /// The reason: a lowercase fragment without a full stop.
    pub text: String,
    /// The remedy, if known.
    pub remedy: Option<String>,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)+) => {
        /// The kind of reason for a refusal.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum RefusalKind {
            $($(#[$doc])* $variant,)+
        }

        impl RefusalKind {
            const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Returns the name of the D-Bus error.
            pub const fn error_name(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!("org.braininjar.Error.", $name),)+
                }
            }
        }
    };
}

kinds! {
    /// The caller lacks the right.
    Denied = "Denied",
    /// There is no such experiment, run or group.
    NotFound = "NotFound",
    /// The request is malformed or too large.
    Invalid = "Invalid",
    /// The request is well-formed but not possible: a claim over the budget, a run that has ended.
    Impossible = "Impossible",
    /// The state database could not be written or read.
    Store = "Store",
    /// The coordinator itself has a problem, or is shutting down.
    Trouble = "Trouble",
}

impl RefusalKind {
    pub(crate) fn from_error_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.error_name() == name)
    }
}

impl Refusal {
    /// Returns a refusal without a remedy.
    pub fn new(kind: RefusalKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), remedy: None }
    }

    /// Adds a remedy.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl From<InvalidAttemptsQuery> for Refusal {
    fn from(error: InvalidAttemptsQuery) -> Self {
        Self::new(RefusalKind::Invalid, error.to_string())
    }
}

impl DBusError for Refusal {
    fn create_reply(&self, call: &Header<'_>) -> zbus::Result<Message> {
        let reply = Message::error(call, self.name());
        match &self.remedy {
            Some(remedy) => reply.build(&(&self.text, remedy)),
            None => reply.build(&(&self.text,)),
        }
    }

    fn name(&self) -> ErrorName<'_> {
        ErrorName::from_static_str_unchecked(self.kind.error_name())
    }

    fn description(&self) -> Option<&str> {
        Some(&self.text)
    }
}
