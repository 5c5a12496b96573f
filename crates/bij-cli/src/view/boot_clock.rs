//! The clock of this boot.

use std::fs;
use std::sync::OnceLock;

use bij_core::{BootId, TimeSpan};

/// This boot and how long it has lasted, read when something is first counted by it.
#[derive(Clone, Debug, Default)]
pub(crate) struct BootClock(OnceLock<Option<(BootId, TimeSpan)>>);

impl BootClock {
    /// The boot and its uptime; `None` if the kernel does not tell.
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
