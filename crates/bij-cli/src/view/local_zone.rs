//! The local time zone.

use std::fs;
use std::sync::OnceLock;

use jiff::tz::TimeZone;

/// The local time zone, read at its first use: most calls need none.
#[derive(Clone, Debug, Default)]
pub(crate) struct LocalZone(OnceLock<TimeZone>);

impl LocalZone {
    pub(crate) fn get(&self) -> &TimeZone {
        self.0.get_or_init(local)
    }
}

#[cfg(test)]
impl From<TimeZone> for LocalZone {
    fn from(zone: TimeZone) -> Self {
        Self(zone.into())
    }
}

/// Reads the zone of localtime(5). `TimeZone::system` would search all of /usr/share/zoneinfo for the zone's name,
/// which is not needed.
fn local() -> TimeZone {
    let is_set = std::env::var_os("TZ").is_some();
    let file = (!is_set).then(|| fs::read("/etc/localtime").ok()).flatten();
    let zone = file.and_then(|data| TimeZone::tzif("Local", &data).ok());
    zone.unwrap_or_else(TimeZone::system)
}
