//! Groups of runs that share slots.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::{ExperimentId, Timestamp};

/// The name of a group: written like an [`ExperimentId`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "String", into = "String"))]
pub struct GroupName(String);

/// The error for a text that is not a group's name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{found:?} is not a group: use 1 to 64 of A-Z a-z 0-9 _ . -, beginning with a letter or digit"
)]
pub struct InvalidGroupName {
    /// What was found, cut to 80 characters.
    pub found: String,
}

impl GroupName {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for GroupName {
    /// Returns the group of runs without a named group.
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

/// A group with its slots. A group that does not exist has no limit of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The name of the group.
    pub name: GroupName,
    /// The most runs of the group at the same time; `None` uses the settings, or has no limit.
    pub slots: Option<u32>,
    /// The pause of its admission, if it is paused.
    pub paused: Option<Pause>,
}

/// The source of a group's number of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum SlotsFrom {
    /// The command `bij groups set`.
    Operator,
    /// The table `[groups.NAME]` of the settings.
    Settings,
}

/// A pause of admission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// The account that paused it.
    pub by: String,
    /// When it was paused.
    pub since: Timestamp,
}
