//! The clock of this boot.

use std::path::Path;
use std::sync::OnceLock;

use bij_core::{BootId, Uptime};
use bij_host::{boot_id, uptime};

/// The boot id and the uptime, read when they are first used.
#[derive(Clone, Debug, Default)]
pub(crate) struct BootClock(OnceLock<Option<(BootId, Uptime)>>);

impl BootClock {
    /// Returns the boot id and the uptime; `None` if they cannot be read.
    pub(crate) fn get(&self) -> Option<(BootId, Uptime)> {
        *self.0.get_or_init(|| Some((boot_id(Path::new("/")).ok()?, uptime()?)))
    }
}

#[cfg(test)]
impl From<(BootId, Uptime)> for BootClock {
    fn from(clock: (BootId, Uptime)) -> Self {
        Self(Some(clock).into())
    }
}
