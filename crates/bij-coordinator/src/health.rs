//! Health of running experiments.

use std::fmt;

/// Health of an experiment that is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nothing is wrong with it.
    Healthy,
    /// It makes progress, but with a problem.
    Degraded {
        /// Problem, as a fragment.
        reason: String,
    },
    /// It makes no progress.
    Stalled {
        /// Last step and time without a new one, as a fragment.
        reason: String,
    },
}

impl Health {
    /// Returns the word for it in output.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded { .. } => "degraded",
            Self::Stalled { .. } => "stalled",
        }
    }

    /// Returns why it is not healthy.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Healthy => None,
            Self::Degraded { reason } | Self::Stalled { reason } => Some(reason),
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason() {
            None => f.write_str(self.as_str()),
            Some(reason) => write!(f, "{}: {reason}", self.as_str()),
        }
    }
}
