//! The queue and its runs.

use std::cmp::Reverse;

use super::{Group, Origin, Pause, Submission, Terms};
use crate::{BootId, RunId, RunNumber, Timestamp};

/// The queue as the store keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// The runs that have not ended, in no particular order.
    pub runs: Vec<QueuedRun>,
    /// The groups that exist.
    pub groups: Vec<Group>,
    /// The pause of the admission of all runs, if it is paused.
    pub paused: Option<Pause>,
}

/// A run that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedRun {
    /// The id of the run.
    pub run: RunId,
    /// The state of the run.
    pub state: QueueState,
    /// The terms on which it may start.
    pub terms: Terms,
    /// Its position among the runs of its priority; lower starts first.
    pub position: QueuePosition,
    /// How many smaller runs have passed it while it waited for capacity.
    pub bypassed: u32,
    /// When it was submitted.
    pub submitted: Timestamp,
    /// Settings that override the definition in this run only, as TOML; empty for none.
    pub extras: String,
    /// The account that asked for it.
    pub by: String,
    /// How it was queued.
    pub origin: Origin,
    /// The account that requested its stop, which ends it. Only a running run has one, because a requeued run
    /// is meant to continue.
    pub stop: Option<String>,
}

impl QueuedRun {
    /// Creates a submitted run, which waits or is held.
    pub fn submitted(
        submission: &Submission,
        number: RunNumber,
        position: QueuePosition,
        at: Timestamp,
    ) -> Self {
        let Submission { experiment, terms, held, extras, by, origin } = submission;
        Self {
            run: RunId { experiment: experiment.clone(), number },
            state: match held {
                Some(by) => QueueState::Held { by: by.clone() },
                None => QueueState::Waiting,
            },
            terms: terms.clone(),
            position,
            bypassed: 0,
            submitted: at,
            extras: extras.clone(),
            by: by.clone(),
            origin: *origin,
            stop: None,
        }
    }

    /// Creates a running run that was not submitted, because its unit was started directly.
    pub fn begun(run: RunId, position: QueuePosition, at: Timestamp) -> Self {
        Self {
            run,
            state: QueueState::Running,
            terms: Terms::default(),
            position,
            bypassed: 0,
            submitted: at,
            extras: String::new(),
            by: "systemd".to_owned(),
            origin: Origin::Start,
            stop: None,
        }
    }

    /// Clears the requested stop unless the run is running.
    pub fn forget_stop_unless_running(&mut self) {
        if self.state != QueueState::Running {
            self.stop = None;
        }
    }

    /// Returns the sort key of the starting order; the smallest key starts first.
    pub fn order(&self) -> impl Ord + '_ {
        (Reverse(self.terms.priority), self.position, &self.run)
    }
}

/// A position in the queue. Later submissions get higher positions; a run moved to the front gets a position
/// lower than all others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueuePosition(pub i64);

/// The state of a run that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueState {
    /// It waits for its gates.
    Waiting,
    /// It waits to be released.
    Held {
        /// The account that holds it.
        by: String,
    },
    /// It was admitted, and no attempt has begun yet.
    Starting {
        /// The boot of the admission.
        boot: BootId,
    },
    /// An attempt has begun; it is running, or the next attempt is due.
    Running,
}

impl QueueState {
    /// Returns the name of the state in output and databases.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Held { .. } => "held",
            Self::Starting { .. } => "starting",
            Self::Running => "running",
        }
    }

    /// Returns whether the run occupies its claim: it is starting or running.
    pub const fn is_up(&self) -> bool {
        matches!(self, Self::Starting { .. } | Self::Running)
    }
}
