//! The board's power mode.

use serde::{Deserialize, Serialize};

/// A request to switch the board to a power mode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PowerSetting {
    /// The name or number of the mode.
    pub mode: String,
    /// Whether a mode that needs a reboot may take effect at the next boot; nothing is rebooted.
    #[serde(default)]
    pub allow_reboot_later: bool,
}

/// The result of a switch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PowerSet {
    /// The number of the mode.
    pub id: u32,
    /// The name of the mode.
    pub name: String,
    /// Whether the mode takes effect only at the next boot.
    pub at_next_boot: bool,
    /// Whether the request changed anything.
    pub changed: bool,
}
