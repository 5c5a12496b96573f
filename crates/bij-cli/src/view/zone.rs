//! Where the reader's clock hangs.

use std::fs;
use std::sync::OnceLock;

use jiff::tz::TimeZone;

/// The local time zone, read when the first time of day is written or read: most calls have none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Zone(OnceLock<TimeZone>);

impl Zone {
    pub(crate) fn get(&self) -> &TimeZone {
        self.0.get_or_init(local)
    }
}

#[cfg(test)]
impl From<TimeZone> for Zone {
    fn from(zone: TimeZone) -> Self {
        Self(zone.into())
    }
}

/// As localtime(5) has it. To learn the zone's name, which nobody asks for here, jiff would walk through
/// all of /usr/share/zoneinfo.
fn local() -> TimeZone {
    let told = std::env::var_os("TZ").is_some();
    let file = (!told).then(|| fs::read("/etc/localtime").ok()).flatten();
    let zone = file.and_then(|data| TimeZone::tzif("Local", &data).ok());
    zone.unwrap_or_else(TimeZone::system)
}
