//! The clock of this boot.

use std::path::Path;
use std::sync::OnceLock;

use bij_core::{BootId, TimeSpan};
use bij_host::{boot_id, uptime};

/// This boot and how long it has lasted, read when something is first counted by it.
#[derive(Clone, Debug, Default)]
pub(crate) struct BootClock(OnceLock<Option<(BootId, TimeSpan)>>);

impl BootClock {
    /// The boot and its uptime; `None` if the kernel does not tell.
    pub(crate) fn get(&self) -> Option<(BootId, TimeSpan)> {
        *self.0.get_or_init(|| Some((boot_id(Path::new("/")).ok()?, uptime()?)))
    }
}

#[cfg(test)]
impl From<(BootId, TimeSpan)> for BootClock {
    fn from(clock: (BootId, TimeSpan)) -> Self {
        Self(Some(clock).into())
    }
}
