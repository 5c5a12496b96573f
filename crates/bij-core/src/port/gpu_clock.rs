//! The GPU's clock.

use thiserror::Error;

use super::Unread;
use crate::Hertz;

/// What the GPU's clock may be bounded to, and what bounds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuClocks {
    /// The rates that it has, ascending and never empty.
    pub rates: Vec<Hertz>,
    /// The highest that is allowed now.
    pub max: Hertz,
}

/// Why the GPU's clock could not be bounded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GpuClockError {
    /// There is no clock that could be bounded, or it cannot be told.
    #[error(transparent)]
    Unread(#[from] Unread),
    /// The system does not let it be set.
    #[error("cannot set {what}")]
    Refused {
        /// What: a file.
        what: String,
        /// What the system said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It was set, and nothing became of that.
    #[error("{what} was set to {to} and is at {is}")]
    NoEffect {
        /// What: a file.
        what: String,
        /// What it was set to.
        to: Hertz,
        /// What it is.
        is: Hertz,
    },
}

/// Bounds the GPU's clock, which is one for all that use it.
///
/// Others set the same bound: power modes are made of it. So whoever has set it looks what it is before
/// he sets it again, and leaves what is not his.
pub trait GpuClock: Send + Sync {
    /// The clock as it is.
    ///
    /// # Errors
    /// [`Unread`] if there is none that could be bounded, or it cannot be told.
    fn clocks(&self) -> Result<GpuClocks, Unread>;

    /// Bounds it, and makes sure of that.
    ///
    /// # Errors
    /// [`GpuClockError`] if it is not bounded so afterwards.
    fn set_max(&self, max: Hertz) -> Result<(), GpuClockError>;
}
