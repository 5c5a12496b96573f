//! What an event says, before it has its number.

use std::collections::BTreeMap;

use super::{Event, EventKind, Group, GroupName, Pause, QueueState, QueuedRun};
use crate::{Attempt, AttemptEnd, AttemptNumber, ExperimentId, RunEnd, RunId, RunNumber};
use crate::{Exit, Timestamp};

/// An event that has no number yet: what is said of each change, whoever writes it down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// What.
    pub kind: EventKind,
    /// Of which experiment, if of one.
    pub experiment: Option<ExperimentId>,
    /// Of which run.
    pub run: Option<RunNumber>,
    /// Of which attempt.
    pub attempt: Option<AttemptNumber>,
    /// What else there is to say.
    pub data: BTreeMap<String, String>,
}

impl Happening {
    /// Something about a run, or about none.
    pub fn new(kind: EventKind, run: Option<&RunId>) -> Self {
        Self {
            kind,
            experiment: run.map(|run| run.experiment.clone()),
            run: run.map(|run| run.number),
            attempt: None,
            data: BTreeMap::new(),
        }
    }

    /// With one more thing said.
    #[must_use]
    pub fn with(mut self, key: &str, value: &(impl ToString + ?Sized)) -> Self {
        self.data.insert(key.to_owned(), value.to_string());
        self
    }

    /// A run was taken in: `by`, `origin`, and `held` by whom.
    pub fn submitted(queued: &QueuedRun) -> Self {
        let said = Self::new(EventKind::Submitted, Some(&queued.run))
            .with("by", &queued.by)
            .with("origin", queued.origin.as_str());
        match &queued.state {
            QueueState::Held { by } => said.with("held", by),
            QueueState::Waiting | QueueState::Starting { .. } | QueueState::Running => said,
        }
    }

    /// A run is where it was not: `why`, and `by` for whom holds it.
    pub fn moved_on(run: &RunId, from: &QueueState, to: &QueueState, why: &str) -> Self {
        let kind = match (from, to) {
            (_, QueueState::Held { .. }) => EventKind::Held,
            (_, QueueState::Starting { .. } | QueueState::Running) => EventKind::Admitted,
            (QueueState::Held { .. }, QueueState::Waiting) => EventKind::Released,
            (_, QueueState::Waiting) => EventKind::Requeued,
        };
        let said = Self::new(kind, Some(run)).with("why", why);
        match to {
            QueueState::Held { by } => said.with("by", by),
            QueueState::Waiting | QueueState::Starting { .. } | QueueState::Running => said,
        }
    }

    /// The terms of a run were changed: `by`.
    pub fn edited(run: &RunId, by: &str) -> Self {
        Self::new(EventKind::Edited, Some(run)).with("by", by)
    }

    /// A run got another place: `by`.
    pub fn moved(run: &RunId, by: &str) -> Self {
        Self::new(EventKind::Moved, Some(run)).with("by", by)
    }

    /// Somebody wants a run stopped: `by`.
    pub fn stop_requested(run: &RunId, by: &str) -> Self {
        Self::new(EventKind::StopRequested, Some(run)).with("by", by)
    }

    /// A run is over: `end`, and `by` whom or what, if not by its last attempt.
    pub fn run_ended(run: &RunId, end: RunEnd, by: Option<&str>) -> Self {
        let said = Self::new(EventKind::RunEnded, Some(run)).with("end", &end);
        match by {
            Some(by) => said.with("by", by),
            None => said,
        }
    }

    /// An attempt has begun.
    pub fn attempt_begun(attempt: &Attempt) -> Self {
        let said = Self::new(EventKind::AttemptBegun, Some(&attempt.run));
        Self { attempt: Some(attempt.number), ..said }
    }

    /// An attempt has ended: `cause`, `code` or `signal`, and `crash` if it was one.
    pub fn attempt_ended(attempt: &Attempt, end: &AttemptEnd) -> Self {
        let said = Self::new(EventKind::AttemptEnded, Some(&attempt.run)).with("cause", &end.cause);
        let said = match end.evidence.exit {
            Some(Exit::Code(code)) => said.with("code", &code),
            Some(Exit::Signal(signal) | Exit::CoreDump(signal)) => said.with("signal", &signal),
            None => said,
        };
        let said = if end.is_crash() { said.with("crash", &true) } else { said };
        Self { attempt: Some(attempt.number), ..said }
    }

    /// A group was set up or changed: `group`, `by`, and `slots` if it has a limit. One that is
    /// paused by it, or resumed, tells so.
    pub fn group_set(before: Option<&Group>, group: &Group, by: &str) -> Self {
        let paused = |group: &Group| group.paused.is_some();
        let kind = match (before.is_some_and(paused), paused(group)) {
            (false, true) => EventKind::Paused,
            (true, false) => EventKind::Resumed,
            (false, false) | (true, true) => EventKind::GroupChanged,
        };
        let said = Self::new(kind, None).with("group", &group.name).with("by", by);
        match group.slots {
            Some(slots) => said.with("slots", &slots),
            None => said,
        }
    }

    /// A group is no longer set up: `group`, `by`, `removed`.
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

    /// The event that it is once it has a number.
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
    fn each_way_through_the_queue_has_its_word() {
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
            assert_eq!(Happening::moved_on(&run, &from, &to, "").kind, kind, "{from:?} {to:?}");
        }
    }
}
