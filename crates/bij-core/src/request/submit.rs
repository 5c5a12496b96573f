//! Requests to submit runs, and to change them.

use serde::{Deserialize, Serialize};

use crate::queue::{Dependencies, GroupName};
use crate::{ExperimentId, TimeSpan, Timestamp};

/// A run to submit. Absent values are taken from the definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submit {
    /// The experiment of the run.
    pub experiment: ExperimentId,
    /// Settings that override the definition in this run only, as TOML.
    #[serde(default)]
    pub extras: String,
    /// The priority; higher goes first.
    #[serde(default)]
    pub priority: Option<i32>,
    /// The group whose slots it uses.
    #[serde(default)]
    pub group: Option<GroupName>,
    /// The runs that it starts after.
    #[serde(default)]
    pub after: Option<Dependencies>,
    /// Its earliest start.
    #[serde(default)]
    pub not_before: Option<Timestamp>,
    /// Its earliest start, from now, instead of a time; independent of changes of the clock.
    #[serde(default)]
    pub delay: Option<TimeSpan>,
    /// Whether it is held until an operator releases it.
    #[serde(default)]
    pub hold: bool,
    /// Whether it bypasses the gates.
    #[serde(default)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubmitOptions {
    /// Whether to check the runs without submitting them.
    #[serde(default)]
    pub dry_run: bool,
}

/// Changes of a waiting run; absent values stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// The priority; higher goes first.
    #[serde(default)]
    pub priority: Option<i32>,
    /// The group whose slots it uses.
    #[serde(default)]
    pub group: Option<GroupName>,
    /// The runs that it starts after; an empty list removes them.
    #[serde(default)]
    pub after: Option<Dependencies>,
    /// Its earliest start.
    #[serde(default)]
    pub not_before: Option<Timestamp>,
    /// Its earliest start, from now, instead of a time.
    #[serde(default)]
    pub delay: Option<TimeSpan>,
    /// Whether to remove its earliest start.
    #[serde(default)]
    pub any_time: bool,
    /// Whether it bypasses the gates.
    #[serde(default)]
    pub now: Option<bool>,
}
