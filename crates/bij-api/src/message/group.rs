//! Groups of runs that share slots.

use bij_core::Timestamp;
use bij_core::queue::{Group, GroupName, SlotsFrom};
use serde::{Deserialize, Serialize};

/// A group and its occupation: an element of `bij --json groups`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupInfo {
    /// The name of the group.
    pub name: GroupName,
    /// Largest number of its runs that are active at the same time.
    #[serde(default)]
    pub slots: Option<u32>,
    /// The source of `slots`, if that is set.
    #[serde(default)]
    pub slots_from: Option<SlotsFrom>,
    /// The user who has paused it.
    #[serde(default)]
    pub paused_by: Option<String>,
    /// Since when it is paused.
    #[serde(default)]
    pub paused_since: Option<Timestamp>,
    /// Number of its active runs.
    pub running: u32,
    /// Number of its waiting and held runs.
    pub waiting: u32,
}

/// A request to create or change a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupSetting {
    /// The name of the group.
    pub name: GroupName,
    /// Largest number of its runs that are active at the same time; absent for the number in the settings, or no limit
    /// of its own.
    #[serde(default)]
    pub slots: Option<u32>,
}

impl GroupInfo {
    /// Returns the information about a group that an operator has created.
    pub fn from_group(group: &Group, running: u32, waiting: u32) -> Self {
        let Group { name, slots, paused } = group;
        Self {
            name: name.clone(),
            slots: *slots,
            slots_from: slots.map(|_| SlotsFrom::Operator),
            paused_by: paused.as_ref().map(|pause| pause.by.clone()),
            paused_since: paused.as_ref().map(|pause| pause.since),
            running,
            waiting,
        }
    }
}
