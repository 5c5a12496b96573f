//! The event log.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;

use crate::{AttemptNumber, ExperimentId, RunNumber, Timestamp};

/// A numbered change: a line of `bij --json events`. A client asks for the events after the last one that it has
/// received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The number of the event. Each is one higher than the number before it, and no number is reused.
    pub seq: u64,
    /// The time of the event. Clocks jump, so only numbers give the order.
    pub at: Timestamp,
    /// The kind of change.
    pub kind: EventKind,
    /// The experiment, if the event has one.
    #[serde(default)]
    pub experiment: Option<ExperimentId>,
    /// The run, if the event has one.
    #[serde(default)]
    pub run: Option<RunNumber>,
    /// The attempt, if the event has one.
    #[serde(default)]
    pub attempt: Option<AttemptNumber>,
    /// Further data: `cause`, `by`, `text`, ... An entry with the name of a field is not serialized.
    #[serde(flatten, serialize_with = "serialize_data")]
    pub data: BTreeMap<String, String>,
}

/// The fields of an event, beside which its data is serialized.
const FIELDS: [&str; 6] = ["seq", "at", "kind", "experiment", "run", "attempt"];

fn serialize_data<S: Serializer>(
    data: &BTreeMap<String, String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(data.iter().filter(|(key, _)| !FIELDS.contains(&key.as_str())))
}

impl Event {
    /// How many of the newest events are kept.
    pub const KEPT: usize = 100_000;
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $word:literal,)+) => {
        /// The kind of an event.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum EventKind {
            $($(#[$doc])* #[serde(rename = $word)] $variant,)+
        }

        impl EventKind {
            /// All kinds of events.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Returns the name of the kind in output and databases.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }
    };
}

kinds! {
    /// A run was added to the queue.
    Submitted = "submitted",
    /// The terms of a waiting run were changed.
    Edited = "edited",
    /// A waiting run got another position.
    Moved = "moved",
    /// A run was put on hold.
    Held = "held",
    /// A held run was released.
    Released = "released",
    /// A run was admitted.
    Admitted = "admitted",
    /// A running run was put back into the queue.
    Requeued = "requeued",
    /// The stop of a running run was requested, which ends it.
    StopRequested = "stop-requested",
    /// A run has ended.
    RunEnded = "run-ended",
    /// An attempt has begun.
    AttemptBegun = "attempt-begun",
    /// An attempt has ended.
    AttemptEnded = "attempt-ended",
    /// A start from elsewhere was not allowed and was skipped.
    StartSkipped = "start-skipped",
    /// A decided action failed.
    ActionFailed = "action-failed",
    /// Admission was paused.
    Paused = "paused",
    /// Admission was resumed.
    Resumed = "resumed",
    /// A group was set up, changed or removed.
    GroupChanged = "group-changed",
    /// The health of a running experiment changed: healthy, degraded or stalled.
    Health = "health",
    /// Heat control took a step.
    Heat = "heat",
    /// The power mode of the board was switched, or switching failed.
    PowerMode = "power-mode",
    /// The clocks of the board were fixed at their maximum or released, or that failed.
    Clocks = "clocks",
    /// The coordinator has started.
    CoordinatorStarted = "coordinator-started",
    /// The settings were reloaded.
    Reloaded = "reloaded",
    /// The database was replaced, and queued runs are missing from the new one.
    QueueLost = "queue-lost",
}

/// A word that does not name a kind of event.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not a kind of event")]
pub struct UnknownEventKind(pub String);

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for EventKind {
    type Err = UnknownEventKind;
    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().find(|kind| kind.as_str() == word);
        found.copied().ok_or_else(|| UnknownEventKind(word.chars().take(80).collect()))
    }
}
