//! Groups of runs that share slots, and pauses of their admission.

use crate::Timestamp;
use crate::queue::{Group, GroupName, SlotsFrom};

/// A group and its occupation: an element of `bij --json groups`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GroupStatus {
    /// The name of the group.
    pub name: GroupName,
    /// Largest number of its runs that are active at the same time.
    #[cfg_attr(feature = "serde", serde(default))]
    pub slots: Option<u32>,
    /// The source of `slots`, if that is set.
    #[cfg_attr(feature = "serde", serde(default))]
    pub slots_from: Option<SlotsFrom>,
    /// The user who has paused it.
    #[cfg_attr(feature = "serde", serde(default))]
    pub paused_by: Option<String>,
    /// Since when it is paused.
    #[cfg_attr(feature = "serde", serde(default))]
    pub paused_since: Option<Timestamp>,
    /// Number of its active runs.
    pub running: u32,
    /// Number of its waiting and held runs.
    pub waiting: u32,
}

/// A request to create or change a group.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct GroupSetting {
    /// The name of the group.
    pub name: GroupName,
    /// Largest number of its runs that are active at the same time; absent for the number in the settings, or no limit
    /// of its own.
    #[cfg_attr(feature = "serde", serde(default))]
    pub slots: Option<u32>,
}

/// A request to pause or resume admission.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct PauseRequest {
    /// The group to pause; absent for all groups.
    #[cfg_attr(feature = "serde", serde(default))]
    pub group: Option<GroupName>,
    /// Whether admission is paused from now on.
    pub paused: bool,
}

impl GroupStatus {
    /// Returns the status of a group without runs.
    pub fn new(group: &Group, slots_from: Option<SlotsFrom>) -> Self {
        let Group { name, slots, paused } = group;
        Self {
            name: name.clone(),
            slots: *slots,
            slots_from,
            paused_by: paused.as_ref().map(|pause| pause.by.clone()),
            paused_since: paused.as_ref().map(|pause| pause.since),
            running: 0,
            waiting: 0,
        }
    }
}
