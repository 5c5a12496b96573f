//! One numbered change.

use std::collections::BTreeMap;

use bij_core::queue::EventKind;
use bij_core::{AttemptNumber, ExperimentId, RunNumber, Timestamp};
use serde::{Deserialize, Serialize};

/// One change: a line of `bij --json events`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its number: each is higher than the ones before, and none is used twice.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: EventKind,
    /// Of which experiment, if of one.
    #[serde(default)]
    pub experiment: Option<ExperimentId>,
    /// Of which run.
    #[serde(default)]
    pub run: Option<RunNumber>,
    /// Of which attempt.
    #[serde(default)]
    pub attempt: Option<AttemptNumber>,
    /// What else there is to say: `cause`, `by`, `text`, …
    #[serde(flatten)]
    pub data: BTreeMap<String, String>,
}

impl From<bij_core::queue::Event> for Event {
    fn from(event: bij_core::queue::Event) -> Self {
        let bij_core::queue::Event { seq, at, kind, experiment, run, attempt, mut data } = event;
        // These keys are taken.
        data.retain(|key, _| !KEYS.contains(&key.as_str()));
        Self { seq, at, kind, experiment, run, attempt, data }
    }
}

const KEYS: [&str; 6] = ["seq", "at", "kind", "experiment", "run", "attempt"];
