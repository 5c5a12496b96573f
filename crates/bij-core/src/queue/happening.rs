//! Events before they get their number.

use std::collections::BTreeMap;

use super::{Event, EventKind, Group, GroupName, Pause, QueueState, QueuedRun};
use crate::{Attempt, AttemptEnd, AttemptNumber, ExperimentId, RunEnd, RunId, RunNumber};
use crate::{Exit, Timestamp};

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
