//! Requests to submit runs, and to change them.

use crate::queue::{Dependencies, GroupName};
use crate::{ExperimentId, TimeSpan, Timestamp};

/// A run to submit. Absent values are taken from the definition.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Submit {
    /// The experiment of the run.
    pub experiment: ExperimentId,
    /// Settings that override the definition in this run only, as TOML.
    #[cfg_attr(feature = "serde", serde(default))]
    pub extras: String,
    /// The priority; higher goes first.
    #[cfg_attr(feature = "serde", serde(default))]
    pub priority: Option<i32>,
    /// The group whose slots it uses.
    #[cfg_attr(feature = "serde", serde(default))]
    pub group: Option<GroupName>,
    /// The runs that it starts after.
    #[cfg_attr(feature = "serde", serde(default))]
    pub after: Option<Dependencies>,
    /// Its earliest start.
    #[cfg_attr(feature = "serde", serde(default))]
    pub not_before: Option<Timestamp>,
    /// Its earliest start, from now, instead of a time; independent of changes of the clock.
    #[cfg_attr(feature = "serde", serde(default))]
    pub delay: Option<TimeSpan>,
    /// Whether it is held until an operator releases it.
    #[cfg_attr(feature = "serde", serde(default))]
    pub hold: bool,
    /// Whether it bypasses the gates.
    #[cfg_attr(feature = "serde", serde(default))]
    pub now: bool,
}

impl Submit {
    /// Returns a run with all values from the definition.
    pub const fn new(experiment: ExperimentId) -> Self {
        Self {
            experiment,
            extras: String::new(),
            priority: None,
            group: None,
            after: None,
            not_before: None,
            delay: None,
            hold: false,
            now: false,
        }
    }
}

/// Options of a submission.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct SubmitOptions {
    /// Whether to check the runs without submitting them.
    #[cfg_attr(feature = "serde", serde(default))]
    pub dry_run: bool,
}

/// Changes of a waiting run; absent values stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Edit {
    /// The priority; higher goes first.
    #[cfg_attr(feature = "serde", serde(default))]
    pub priority: Option<i32>,
    /// The group whose slots it uses.
    #[cfg_attr(feature = "serde", serde(default))]
    pub group: Option<GroupName>,
    /// The runs that it starts after; an empty list removes them.
    #[cfg_attr(feature = "serde", serde(default))]
    pub after: Option<Dependencies>,
    /// Its earliest start.
    #[cfg_attr(feature = "serde", serde(default))]
    pub not_before: Option<Timestamp>,
    /// Its earliest start, from now, instead of a time.
    #[cfg_attr(feature = "serde", serde(default))]
    pub delay: Option<TimeSpan>,
    /// Whether to remove its earliest start.
    #[cfg_attr(feature = "serde", serde(default))]
    pub any_time: bool,
    /// Whether it bypasses the gates.
    #[cfg_attr(feature = "serde", serde(default))]
    pub now: Option<bool>,
}
