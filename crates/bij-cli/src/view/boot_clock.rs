//! The clock of this boot.

use std::fs;
use std::sync::OnceLock;

use bij_core::{BootId, TimeSpan};

/// The boot id and the uptime, read when they are first used.
#[derive(Clone, Debug, Default)]
pub(crate) struct BootClock(OnceLock<Option<(BootId, TimeSpan)>>);

impl BootClock {
    /// Returns the boot id and the uptime; `None` if they cannot be read.
    pub(crate) fn get(&self) -> Option<(BootId, TimeSpan)> {
        *self.0.get_or_init(|| {
            let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
            Some((boot.trim().parse().ok()?, bij_local::uptime()?))
        })
    }
}

#[cfg(test)]
impl From<(BootId, TimeSpan)> for BootClock {
    fn from(clock: (BootId, TimeSpan)) -> Self {
        Self(Some(clock).into())
    }
}
