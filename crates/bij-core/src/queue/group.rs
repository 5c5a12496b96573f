//! Groups of runs that share slots.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{ExperimentId, Timestamp};

/// The name of a group: written like an [`ExperimentId`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GroupName(String);

/// Why a text names no group.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{found:?} is not a group: use 1 to 64 of A-Z a-z 0-9 _ . -, beginning with a letter or digit"
)]
pub struct InvalidGroupName {
    /// What was found, shortened.
    pub found: String,
}

impl GroupName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for GroupName {
    /// The group of runs that name none.
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for GroupName {
    type Err = InvalidGroupName;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match ExperimentId::new(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(error) => Err(InvalidGroupName { found: error.found }),
        }
    }
}

impl TryFrom<String> for GroupName {
    type Error = InvalidGroupName;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<GroupName> for String {
    fn from(name: GroupName) -> Self {
        name.0
    }
}

/// A group as the operator has set it up; one that nobody has has no limit of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: GroupName,
    /// How many of its runs run at the same time at most; `None` is as many as the settings say, or
    /// the machine lets.
    pub slots: Option<u32>,
    /// Whether none of its runs is let start.
    pub paused: Option<Pause>,
}

/// Who says how many slots a group has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SlotsFrom {
    /// `bij groups set`.
    Operator,
    /// `[groups.NAME]` of the settings.
    Settings,
}

/// Who has stopped admission, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Who.
    pub by: String,
    /// Since when.
    pub since: Timestamp,
}
