//! What requests change, as pure functions: each takes what is known and returns the changes, or the reason why
//! the request is refused. The coordinator carries the changes out.

mod act;
mod edit;
mod groups;
mod positions;
mod submit;

pub(crate) use act::{act, named};
pub(crate) use edit::edit;
pub(crate) use groups::{groups, pause, remove_group, set_group};
pub use submit::MAX_AT_ONCE;
pub(crate) use submit::{SubmissionPlanner, check_extras, preview};

use bij_core::port::Change;
use bij_core::queue::{GroupName, NotBefore, QueueState, QueuedRun};
use bij_core::{RunId, TimeSpan, Timestamp};

use crate::RequestError;
use crate::policy::{Observation, State};

/// What a request changes: all of it, or nothing.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Changes that the store takes in one transaction.
    pub(crate) changes: Vec<Change>,
    /// Runs whose units are stopped once the changes are in the store.
    pub(crate) stops: Vec<RunId>,
    /// Runs whose back-off after a failed start is dropped.
    pub(crate) retried: Vec<RunId>,
}

impl Plan {
    fn change(change: Change) -> Self {
        Self { changes: vec![change], ..Self::default() }
    }

    fn state(run: &QueuedRun, state: QueueState, why: String) -> Self {
        let from = Some(run.state.clone());
        Self::change(Change::State { run: run.run.clone(), from, state, why })
    }

    fn add(&mut self, other: Self) {
        let Self { changes, stops, retried } = other;
        self.changes.extend(changes);
        self.stops.extend(stops);
        self.retried.extend(retried);
    }
}

/// Returns the run, or an error if it neither waits nor is held.
fn waiting<'a>(state: &State, run: &'a QueuedRun) -> Result<&'a QueuedRun, RequestError> {
    match &run.state {
        QueueState::Waiting | QueueState::Held { .. } => Ok(run),
        // A run that another boot has interrupted will wait in a moment.
        QueueState::Starting { .. } | QueueState::Running
            if state.interrupted.contains_key(&run.run) =>
        {
            Ok(run)
        }
        up @ (QueueState::Starting { .. } | QueueState::Running) => {
            Err(RequestError::NotWaiting { run: run.run.clone(), state: up.clone() })
        }
    }
}

/// Returns the earliest start that a request sets.
fn not_before_of(
    state: &State,
    seen: &Observation,
    at: Option<Timestamp>,
    delay: Option<TimeSpan>,
) -> Option<NotBefore> {
    NotBefore::requested(at, delay, state.boot, seen.now.at, seen.now.uptime)
}

/// Checks that a named group is known: a mistyped one would have no limit.
fn check_group(
    state: &State,
    group: &GroupName,
    of_definition: &GroupName,
) -> Result<(), RequestError> {
    if state.is_set_up(group) || *group == GroupName::default() || group == of_definition {
        return Ok(());
    }
    let set_up = state.groups.keys().chain(state.settings.groups.keys()).cloned();
    let mut known: Vec<GroupName> = set_up.chain([GroupName::default()]).collect();
    known.sort();
    known.dedup();
    Err(RequestError::NoSuchGroup { name: group.clone(), known })
}
