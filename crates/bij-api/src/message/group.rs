//! Groups of runs that share slots.

use bij_core::Timestamp;
use bij_core::queue::{Group, GroupName, SlotsFrom};
use serde::{Deserialize, Serialize};

/// A group and how full it is: an element of `bij --json groups`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupInfo {
    /// Its name.
    pub name: GroupName,
    /// How many of its runs run at the same time at most.
    #[serde(default)]
    pub slots: Option<u32>,
    /// Who says so, if anybody does.
    #[serde(default)]
    pub slots_from: Option<SlotsFrom>,
    /// Who has paused it, if anybody.
    #[serde(default)]
    pub paused_by: Option<String>,
    /// Since when it is paused.
    #[serde(default)]
    pub paused_since: Option<Timestamp>,
    /// How many of its runs are up.
    pub running: u32,
    /// How many wait or are held.
    pub waiting: u32,
}

/// A group as it is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupSetting {
    /// Its name.
    pub name: GroupName,
    /// How many of its runs run at the same time at most; absent is as many as the settings say, or
    /// the machine lets.
    #[serde(default)]
    pub slots: Option<u32>,
}

impl GroupInfo {
    /// A group that the operator has set up, with so many runs.
    pub fn of(group: &Group, running: u32, waiting: u32) -> Self {
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
