//! Events of the queue.

use std::collections::BTreeMap;

use bij_core::queue::EventKind;
use bij_core::{AttemptNumber, ExperimentId, RunNumber, Timestamp};
use serde::{Deserialize, Serialize};

/// An event: a line of `bij --json events`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The number of the event, higher than all earlier ones and never used again.
    pub seq: u64,
    /// The time of the event.
    pub at: Timestamp,
    /// The kind of the event.
    pub kind: EventKind,
    /// The experiment that it is about, if any.
    #[serde(default)]
    pub experiment: Option<ExperimentId>,
    /// The run that it is about, if any.
    #[serde(default)]
    pub run: Option<RunNumber>,
    /// The attempt that it is about, if any.
    #[serde(default)]
    pub attempt: Option<AttemptNumber>,
    /// Further data: `cause`, `by`, `text`, …
    #[serde(flatten)]
    pub data: BTreeMap<String, String>,
}

impl From<bij_core::queue::Event> for Event {
    fn from(event: bij_core::queue::Event) -> Self {
        let bij_core::queue::Event { seq, at, kind, experiment, run, attempt, mut data } = event;
        // These keys would collide with the fields.
        data.retain(|key, _| !KEYS.contains(&key.as_str()));
        Self { seq, at, kind, experiment, run, attempt, data }
    }
}

const KEYS: [&str; 6] = ["seq", "at", "kind", "experiment", "run", "attempt"];
