//! The log of everything that changed.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{AttemptNumber, ExperimentId, RunNumber, Timestamp};

/// One change, numbered: whoever has seen one asks for those after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number: each is one higher than the one before, and none is used twice.
    pub seq: u64,
    /// When; clocks jump, numbers do not.
    pub at: Timestamp,
    /// What.
    pub kind: EventKind,
    /// Of which experiment, if of one.
    pub experiment: Option<ExperimentId>,
    /// Of which run.
    pub run: Option<RunNumber>,
    /// Of which attempt.
    pub attempt: Option<AttemptNumber>,
    /// What else there is to say: `cause`, `by`, `text`, ...
    pub data: BTreeMap<String, String>,
}

impl Event {
    /// How many are kept, the newest.
    pub const KEPT: usize = 100_000;
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $word:literal,)+) => {
        /// What has changed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum EventKind {
            $($(#[$doc])* #[serde(rename = $word)] $variant,)+
        }

        impl EventKind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The word for it in output and databases.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }
    };
}

kinds! {
    /// A run was taken into the queue.
    Submitted = "submitted",
    /// The terms of a waiting run were changed.
    Edited = "edited",
    /// A waiting run got another place.
    Moved = "moved",
    /// A run was held.
    Held = "held",
    /// A held run was released.
    Released = "released",
    /// A run was let start.
    Admitted = "admitted",
    /// A run that was up waits again.
    Requeued = "requeued",
    /// Somebody wants a running one stopped, which ends it.
    StopRequested = "stop-requested",
    /// A run is over.
    RunEnded = "run-ended",
    /// An attempt has begun.
    AttemptBegun = "attempt-begun",
    /// An attempt has ended.
    AttemptEnded = "attempt-ended",
    /// A start from elsewhere was not let through.
    StartSkipped = "start-skipped",
    /// Something that was decided could not be done.
    ActionFailed = "action-failed",
    /// Admission was paused.
    Paused = "paused",
    /// Admission was resumed.
    Resumed = "resumed",
    /// A group was set up, changed or removed.
    GroupChanged = "group-changed",
    /// A running experiment is healthy, degraded or stalled.
    Health = "health",
    /// Something was held back for heat, or goes on.
    Heat = "heat",
    /// The board's power mode was switched, or could not be.
    PowerMode = "power-mode",
    /// The board's clocks are held at their highest, or let go, or could not be.
    Clocks = "clocks",
    /// The coordinator has come up.
    CoordinatorStarted = "coordinator-started",
    /// Settings were read anew.
    Reloaded = "reloaded",
    /// Runs that were queued are not in the database that has taken the place of another one.
    QueueLost = "queue-lost",
}

/// A word that is no kind of event.
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
