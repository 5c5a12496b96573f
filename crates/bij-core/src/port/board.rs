//! What the machine has left.

use thiserror::Error;

use crate::{Bytes, Celsius, Percent};

/// Why something of the machine could not be read; its `Display` is a fragment for people.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("cannot read {what}: {why}")]
pub struct Unread {
    /// What: a file, a sensor.
    pub what: String,
    /// What the system said.
    pub why: String,
}

/// One reading of the machine: each part is a value, or why there is none.
///
/// A board with more to tell gets more parts; what is not there yet is made by [`Sample::new`]. How hot
/// it is takes longer to read: see [`Board::zones`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sample {
    /// Physical memory in all: `MemTotal` (`proc_meminfo(5)`).
    pub memory_total: Result<Bytes, Unread>,
    /// What could be had without swapping: `MemAvailable` (`proc_meminfo(5)`).
    pub memory_available: Result<Bytes, Unread>,
    /// The share of the last ten seconds in which some task waited for memory: `some avg10` of
    /// `/proc/pressure/memory`; `None` on a kernel without PSI.
    pub memory_pressure: Result<Option<Percent>, Unread>,
    /// Whether the GPU has no memory but this.
    pub shared_with_gpu: bool,
}

/// How hot it is in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneReading {
    /// Its type in lower case, without `-therm` or `-thermal`: `cpu`, `gpu`, `soc0`, `tj`.
    pub name: String,
    /// The temperature, or why there is none.
    pub celsius: Result<Celsius, Unread>,
}

impl Sample {
    /// A reading of a machine of which only the memory is known.
    pub const fn new(total: Bytes, available: Bytes) -> Self {
        Self {
            memory_total: Ok(total),
            memory_available: Ok(available),
            memory_pressure: Ok(None),
            shared_with_gpu: false,
        }
    }

    /// The same with its memory pressure.
    #[must_use]
    pub fn with_pressure(mut self, some_avg10: Percent) -> Self {
        self.memory_pressure = Ok(Some(some_avg10));
        self
    }
}

/// Reads the machine's hardware.
pub trait Board: Send + Sync {
    /// Reads what every decision goes by. It costs two small files of the kernel's own memory and waits
    /// for no device, so it is taken whenever something is to be decided.
    fn sample(&self) -> Sample;

    /// Reads how hot the processor, the GPU and the rest of their chip are: their thermal zones, in no order that
    /// means anything; none on a machine without. Sensors of other devices are not among them.
    ///
    /// Sensors answer over buses, and one that hangs costs its reader a deadline: who decides does not
    /// wait for this.
    ///
    /// # Errors
    /// [`Unread`] if not even their names can be had.
    fn zones(&self) -> Result<Vec<ZoneReading>, Unread>;
}

/// A machine that stays as it was read once, without a thermal zone.
impl Board for Sample {
    fn sample(&self) -> Self {
        self.clone()
    }

    fn zones(&self) -> Result<Vec<ZoneReading>, Unread> {
        Ok(Vec::new())
    }
}
