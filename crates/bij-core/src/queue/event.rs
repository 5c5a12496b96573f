//! The event log: recorded events, and events before they get their number.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::{Group, GroupName, Pause, QueueState, QueuedRun};
use crate::{
    Attempt, AttemptEnd, AttemptNumber, Exit, ExperimentId, RunEnd, RunId, RunNumber, Timestamp,
};

/// A numbered change: a line of `bij --json events`. A client asks for the events after the last one that it has
/// received.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Event {
    /// The number of the event. Each is one higher than the number before it, and no number is reused.
    pub seq: u64,
    /// The time of the event. Clocks jump, so only numbers give the order.
    pub at: Timestamp,
    /// The kind of change.
    pub kind: EventKind,
    /// The experiment, if the event has one.
    #[cfg_attr(feature = "serde", serde(default))]
    pub experiment: Option<ExperimentId>,
    /// The run, if the event has one.
    #[cfg_attr(feature = "serde", serde(default))]
    pub run: Option<RunNumber>,
    /// The attempt, if the event has one.
    #[cfg_attr(feature = "serde", serde(default))]
    pub attempt: Option<AttemptNumber>,
    /// Further data: `cause`, `by`, `text`, ... An entry with the name of a field is not serialized.
    #[cfg_attr(feature = "serde", serde(flatten, serialize_with = "serialize_data"))]
    pub data: BTreeMap<String, String>,
}

/// The fields of an event, beside which its data is serialized.
#[cfg(feature = "serde")]
const FIELDS: [&str; 6] = ["seq", "at", "kind", "experiment", "run", "attempt"];

#[cfg(feature = "serde")]
fn serialize_data<S: serde::Serializer>(
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
        /// The kind of an event. Kinds will be added, so a `match` outside of this crate has an arm for the others.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[non_exhaustive]
        pub enum EventKind {
            $($(#[$doc])* #[cfg_attr(feature = "serde", serde(rename = $word))] $variant,)+
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
    /// Thermal control took a step.
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

/// An event without a number and time. Its constructors define the data of each kind, so that every store
/// records the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// The kind of change.
    pub kind: EventKind,
    /// The experiment, if the event has one.
    pub experiment: Option<ExperimentId>,
    /// The run, if the event has one.
    pub run: Option<RunNumber>,
    /// The attempt, if the event has one.
    pub attempt: Option<AttemptNumber>,
    /// Further data: `cause`, `by`, `text`, ...
    pub data: BTreeMap<String, String>,
}

impl NewEvent {
    /// Creates an event without data, of a run if it has one.
    pub fn new(kind: EventKind, run: Option<&RunId>) -> Self {
        Self {
            kind,
            experiment: run.map(|run| run.experiment.clone()),
            run: run.map(|run| run.number),
            attempt: None,
            data: BTreeMap::new(),
        }
    }

    /// Adds an entry to the data.
    #[must_use]
    pub fn with(mut self, key: &str, value: &(impl ToString + ?Sized)) -> Self {
        self.data.insert(key.to_owned(), value.to_string());
        self
    }

    /// A run was submitted: `by`, `origin`, and `held` if it is on hold.
    pub fn submitted(queued: &QueuedRun) -> Self {
        let event = Self::new(EventKind::Submitted, Some(&queued.run))
            .with("by", &queued.by)
            .with("origin", queued.origin.as_str());
        match &queued.state {
            QueueState::Held { by } => event.with("held", by),
            QueueState::Waiting | QueueState::Starting { .. } | QueueState::Running => event,
        }
    }

    /// A run changed its state: `why`, and `by` if it is on hold.
    pub fn moved_on(run: &RunId, from: &QueueState, to: &QueueState, why: &str) -> Self {
        let kind = match (from, to) {
            (_, QueueState::Held { .. }) => EventKind::Held,
            (_, QueueState::Starting { .. } | QueueState::Running) => EventKind::Admitted,
            (QueueState::Held { .. }, QueueState::Waiting) => EventKind::Released,
            (_, QueueState::Waiting) => EventKind::Requeued,
        };
        let event = Self::new(kind, Some(run)).with("why", why);
        match to {
            QueueState::Held { by } => event.with("by", by),
            QueueState::Waiting | QueueState::Starting { .. } | QueueState::Running => event,
        }
    }

    /// The terms of a run were changed: `by`.
    pub fn edited(run: &RunId, by: &str) -> Self {
        Self::new(EventKind::Edited, Some(run)).with("by", by)
    }

    /// A run got another position: `by`.
    pub fn moved(run: &RunId, by: &str) -> Self {
        Self::new(EventKind::Moved, Some(run)).with("by", by)
    }

    /// The stop of a run was requested: `by`.
    pub fn stop_requested(run: &RunId, by: &str) -> Self {
        Self::new(EventKind::StopRequested, Some(run)).with("by", by)
    }

    /// A run ended: `end`, and `by` unless its last attempt ended it.
    pub fn run_ended(run: &RunId, end: RunEnd, by: Option<&str>) -> Self {
        let event = Self::new(EventKind::RunEnded, Some(run)).with("end", &end);
        match by {
            Some(by) => event.with("by", by),
            None => event,
        }
    }

    /// An attempt has begun.
    pub fn attempt_begun(attempt: &Attempt) -> Self {
        let event = Self::new(EventKind::AttemptBegun, Some(&attempt.run));
        Self { attempt: Some(attempt.number), ..event }
    }

    /// An attempt has ended: `cause`, `code` or `signal`, and `crash` if it crashed.
    pub fn attempt_ended(attempt: &Attempt, end: &AttemptEnd) -> Self {
        let event =
            Self::new(EventKind::AttemptEnded, Some(&attempt.run)).with("cause", &end.cause);
        let event = match end.evidence.exit {
            Some(Exit::Code(code)) => event.with("code", &code),
            Some(Exit::Signal(signal) | Exit::CoreDump(signal)) => event.with("signal", &signal),
            None => event,
        };
        let event = if end.is_crash() { event.with("crash", &true) } else { event };
        Self { attempt: Some(attempt.number), ..event }
    }

    /// A group was created or changed: `group`, `by`, and `slots` if it has a limit. The kind tells whether it
    /// was paused or resumed.
    pub fn group_set(before: Option<&Group>, group: &Group, by: &str) -> Self {
        let paused = |group: &Group| group.paused.is_some();
        let kind = match (before.is_some_and(paused), paused(group)) {
            (false, true) => EventKind::Paused,
            (true, false) => EventKind::Resumed,
            (false, false) | (true, true) => EventKind::GroupChanged,
        };
        let event = Self::new(kind, None).with("group", &group.name).with("by", by);
        match group.slots {
            Some(slots) => event.with("slots", &slots),
            None => event,
        }
    }

    /// A group was removed: `group`, `by`, `removed`.
    pub fn group_removed(name: &GroupName, by: &str) -> Self {
        Self::new(EventKind::GroupChanged, None)
            .with("group", name)
            .with("by", by)
            .with("removed", &true)
    }

    /// Admission of all runs was paused or resumed: `by`.
    pub fn paused(pause: Option<&Pause>, by: &str) -> Self {
        let kind = if pause.is_some() { EventKind::Paused } else { EventKind::Resumed };
        Self::new(kind, None).with("by", by)
    }

    /// Returns the event with its number and time.
    pub fn numbered(self, seq: u64, at: Timestamp) -> Event {
        let Self { kind, experiment, run, attempt, data } = self;
        Event { seq, at, kind, experiment, run, attempt, data }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BootId;

    #[test]
    fn each_change_of_a_run_state_has_its_event_kind() {
        let held = || QueueState::Held { by: "alice".to_owned() };
        let starting = || QueueState::Starting { boot: BootId::from_bytes([1; 16]) };
        let run: RunId = "x#1".parse().unwrap();
        for (from, to, kind) in [
            (QueueState::Waiting, held(), EventKind::Held),
            (QueueState::Running, held(), EventKind::Held),
            (held(), QueueState::Waiting, EventKind::Released),
            (QueueState::Waiting, starting(), EventKind::Admitted),
            (held(), starting(), EventKind::Admitted),
            (starting(), QueueState::Waiting, EventKind::Requeued),
            (QueueState::Running, QueueState::Waiting, EventKind::Requeued),
        ] {
            assert_eq!(NewEvent::moved_on(&run, &from, &to, "").kind, kind, "{from:?} {to:?}");
        }
    }
}
