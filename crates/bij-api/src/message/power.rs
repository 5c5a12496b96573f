//! The board's power mode, which is one for all.

use serde::{Deserialize, Serialize};

/// The power mode that somebody wants the board in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PowerSetting {
    /// Its name or number.
    pub mode: String,
    /// If it needs a reboot, whether the next boot is to come up with it; nothing is rebooted.
    #[serde(default)]
    pub allow_reboot_later: bool,
}

/// What has come of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PowerSet {
    /// The mode's number.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Whether it comes with the next boot, and is not in force yet.
    pub at_next_boot: bool,
    /// Whether anything had to be changed.
    pub changed: bool,
}
