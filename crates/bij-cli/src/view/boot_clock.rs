//! The clock of this boot.

use std::path::Path;
use std::sync::OnceLock;

use bij_core::{BootId, TimeSpan};
use bij_host::{boot_id, uptime};

/// The boot id and the uptime, read when they are first used.
#[derive(Clone, Debug, Default)]
pub(crate) struct BootClock(OnceLock<Option<(BootId, TimeSpan)>>);

impl BootClock {
    /// Returns the boot id and the uptime; `None` if they cannot be read.
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
