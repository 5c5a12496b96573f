//! The ports to the hardware of the machine: memory, temperatures and the clock of the GPU.

use thiserror::Error;

use crate::{Bytes, Celsius, Hertz, Percent};

/// The error of a failed reading. `Display` writes a fragment for people.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("cannot read {what}: {why}")]
pub struct BoardReadError {
    /// The file or sensor that could not be read.
    pub what: String,
    /// The error of the system.
    pub why: String,
}

/// One reading of the machine's memory. Each part is a value or the reason why it could not be read.
///
/// Later versions may add parts; [`Sample::new`] fills them with defaults. Temperatures take longer to read:
/// see [`Board::zones`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sample {
    /// The total physical memory: `MemTotal` (`proc_meminfo(5)`).
    pub memory_total: Result<Bytes, BoardReadError>,
    /// The memory available without swapping: `MemAvailable` (`proc_meminfo(5)`).
    pub memory_available: Result<Bytes, BoardReadError>,
    /// The share of the last ten seconds in which some task waited for memory: `some avg10` of
    /// `/proc/pressure/memory`; `None` on a kernel without PSI.
    pub memory_pressure: Result<Option<Percent>, BoardReadError>,
    /// Whether the GPU uses this memory and has none of its own.
    pub shared_with_gpu: bool,
}

/// The temperature of one thermal zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneReading {
    /// The type of the zone in lower case, without `-therm` or `-thermal`: `cpu`, `gpu`, `soc0`, `tj`.
    pub name: String,
    /// The temperature, or the reason why it could not be read.
    pub celsius: Result<Celsius, BoardReadError>,
}

impl Sample {
    /// Creates a reading with these amounts of memory and without memory pressure.
    pub const fn new(total: Bytes, available: Bytes) -> Self {
        Self {
            memory_total: Ok(total),
            memory_available: Ok(available),
            memory_pressure: Ok(None),
            shared_with_gpu: false,
        }
    }

    /// Sets the memory pressure.
    #[must_use]
    pub fn with_pressure(mut self, some_avg10: Percent) -> Self {
        self.memory_pressure = Ok(Some(some_avg10));
        self
    }
}

/// Reads the machine's hardware.
pub trait Board: Send + Sync {
    /// Reads the memory of the machine. This costs two small files of procfs and waits for no device, so every
    /// decision takes a new sample.
    fn sample(&self) -> Sample;

    /// Reads the thermal zones of the processor, the GPU and the rest of their chip, in no particular order;
    /// empty on a machine without thermal zones. Sensors of other devices are not included.
    ///
    /// Sensors answer over buses, and a hung sensor costs its reader a deadline, so no decision waits for
    /// this call.
    ///
    /// # Errors
    /// [`BoardReadError`] if the zones cannot be listed.
    fn zones(&self) -> Result<Vec<ZoneReading>, BoardReadError>;
}

/// A machine with constant memory readings and without thermal zones.
impl Board for Sample {
    fn sample(&self) -> Self {
        self.clone()
    }

    fn zones(&self) -> Result<Vec<ZoneReading>, BoardReadError> {
        Ok(Vec::new())
    }
}

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
