//! What is asked for when runs are taken into the queue, and changed there.

use bij_core::queue::{Dependencies, GroupName};
use bij_core::{ExperimentId, TimeSpan, Timestamp};
use serde::{Deserialize, Serialize};

/// A run that is to be taken into the queue. What is absent is as the definition says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submit {
    /// Of which experiment.
    pub experiment: ExperimentId,
    /// What is laid over the definition in this run only, as TOML.
    #[serde(default)]
    pub extras: String,
    /// Higher goes first.
    #[serde(default)]
    pub priority: Option<i32>,
    /// Whose slots it uses.
    #[serde(default)]
    pub group: Option<GroupName>,
    /// Not before these.
    #[serde(default)]
    pub after: Option<Dependencies>,
    /// Not before this time.
    #[serde(default)]
    pub not_before: Option<Timestamp>,
    /// Not before so long from now, in place of a time; a clock that is set meanwhile does not count.
    #[serde(default)]
    pub delay: Option<TimeSpan>,
    /// Whether it waits for somebody to release it.
    #[serde(default)]
    pub hold: bool,
    /// Whether it passes the gates.
    #[serde(default)]
    pub now: bool,
}

impl Submit {
    /// A run as the definition says.
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

/// How runs are to be taken in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubmitOptions {
    /// Only look whether they would be.
    #[serde(default)]
    pub dry_run: bool,
}

/// What is to be changed about a run that waits; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// Higher goes first.
    #[serde(default)]
    pub priority: Option<i32>,
    /// Whose slots it uses.
    #[serde(default)]
    pub group: Option<GroupName>,
    /// Not before these; an empty list is none.
    #[serde(default)]
    pub after: Option<Dependencies>,
    /// Not before this time.
    #[serde(default)]
    pub not_before: Option<Timestamp>,
    /// Not before so long from now, in place of a time.
    #[serde(default)]
    pub delay: Option<TimeSpan>,
    /// At any time: takes `not_before` away.
    #[serde(default)]
    pub any_time: bool,
    /// Whether it passes the gates.
    #[serde(default)]
    pub now: Option<bool>,
}
