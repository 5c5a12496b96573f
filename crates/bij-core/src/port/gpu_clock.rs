//! The port to the clock of the GPU.

use thiserror::Error;

use super::BoardReadError;
use crate::Hertz;

/// The clock rates of the GPU and its current limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuClocks {
    /// The supported rates, ascending and never empty.
    pub rates: Vec<Hertz>,
    /// The highest rate that is currently allowed.
    pub max: Hertz,
}

/// The error of a failed attempt to limit the GPU's clock.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GpuClockError {
    /// There is no clock that can be limited, or it cannot be read.
    #[error(transparent)]
    Read(#[from] BoardReadError),
    /// The system refused to set the limit.
    #[error("cannot set {what}")]
    Refused {
        /// The file that was written.
        what: String,
        /// The error of the system.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The limit was set without effect.
    #[error("{what} was set to {to} and is at {is}")]
    NoEffect {
        /// The file that was written.
        what: String,
        /// The limit that was set.
        to: Hertz,
        /// The limit that was read back.
        is: Hertz,
    },
}

/// Limits the GPU's clock, which all users of the GPU share.
///
/// Power modes set the same limit. A caller therefore reads the limit before setting it again, and leaves a
/// limit that it has not set.
pub trait GpuClock: Send + Sync {
    /// Reads the clock rates and the current limit.
    ///
    /// # Errors
    /// [`BoardReadError`] if there is no clock that can be limited, or it cannot be read.
    fn clocks(&self) -> Result<GpuClocks, BoardReadError>;

    /// Sets the limit and verifies it.
    ///
    /// # Errors
    /// [`GpuClockError`] if the limit is not in force afterwards.
    fn set_max(&self, max: Hertz) -> Result<(), GpuClockError>;
}
