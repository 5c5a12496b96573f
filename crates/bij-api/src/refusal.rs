//! A "no" of the coordinator, and how it looks on the wire.
//!
//! It is a D-Bus error whose body is the sentence and, where one is known, the remedy: libraries
//! show the first text of an error's body.

use thiserror::Error;
use zbus::message::Header;
use zbus::names::ErrorName;
use zbus::{DBusError, Message};

/// Why the coordinator does not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text}")]
pub struct Refusal {
    /// Of which kind the reason is.
    pub kind: RefusalKind,
    /// The reason: a lowercase fragment without a full stop.
    pub text: String,
    /// What helps, where that is known.
    pub remedy: Option<String>,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)+) => {
        /// Kinds of reasons.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum RefusalKind {
            $($(#[$doc])* $variant,)+
        }

        impl RefusalKind {
            const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name of the D-Bus error.
            pub const fn error_name(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!("org.braininjar.Error.", $name),)+
                }
            }
        }
    };
}

kinds! {
    /// The caller may not.
    Denied = "Denied",
    /// There is no such experiment, run or group.
    NotFound = "NotFound",
    /// The request makes no sense, or is too large.
    Invalid = "Invalid",
    /// It makes sense and cannot be: a claim over the budget, a run that is over.
    Impossible = "Impossible",
    /// The state database did not take it, or could not be read.
    Store = "Store",
    /// The coordinator itself is in trouble, or is going down.
    Trouble = "Trouble",
}

impl RefusalKind {
    pub(crate) fn from_error_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.error_name() == name)
    }
}

impl Refusal {
    /// A refusal for which no remedy is known.
    pub fn new(kind: RefusalKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), remedy: None }
    }

    /// Adds what helps.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
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
