//! A run that is not over.

use std::cmp::Reverse;

use super::{Group, Origin, Pause, Submission, Terms};
use crate::{BootId, RunId, RunNumber, Timestamp};

/// Everything in the queue, as the store keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// The runs that are not over, in no particular order.
    pub runs: Vec<QueuedRun>,
    /// The groups that somebody has set up.
    pub groups: Vec<Group>,
    /// Whether no run at all is let start.
    pub paused: Option<Pause>,
}

/// A run that is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedRun {
    /// Which.
    pub run: RunId,
    /// Where it stands.
    pub state: QueueState,
    /// On what terms it may start.
    pub terms: Terms,
    /// Its place among those of its priority: lower goes first.
    pub place: Place,
    /// How many smaller runs have passed it while it waited for room.
    pub bypassed: u32,
    /// When it was taken in.
    pub submitted: Timestamp,
    /// What is laid over the definition in this run only, as TOML; empty for nothing.
    pub extras: String,
    /// Who asked for it.
    pub by: String,
    /// How it came here.
    pub origin: Origin,
    /// Who wants it stopped, which ends it. Nobody does of one that is not running, and who puts it
    /// back means it to go on.
    pub stop: Option<String>,
}

impl QueuedRun {
    /// A run that is taken in.
    pub fn submitted(
        submission: &Submission,
        number: RunNumber,
        place: Place,
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
            place,
            bypassed: 0,
            submitted: at,
            extras: extras.clone(),
            by: by.clone(),
            origin: *origin,
            stop: None,
        }
    }

    /// A run that nobody has submitted: its unit was started.
    pub fn begun(run: RunId, place: Place, at: Timestamp) -> Self {
        Self {
            run,
            state: QueueState::Running,
            terms: Terms::default(),
            place,
            bypassed: 0,
            submitted: at,
            extras: String::new(),
            by: "systemd".to_owned(),
            origin: Origin::Start,
            stop: None,
        }
    }

    /// Who wants it stopped means the running one only.
    pub fn forget_stop_unless_running(&mut self) {
        if self.state != QueueState::Running {
            self.stop = None;
        }
    }

    /// The order in which runs start: the first in it is next.
    pub fn order(&self) -> impl Ord + '_ {
        (Reverse(self.terms.priority), self.place, &self.run)
    }
}

/// A place in the queue. Later submissions get higher ones; what is put before all others gets a
/// lower one than any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(pub i64);

/// Where a run stands that is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueState {
    /// It waits for its gates.
    Waiting,
    /// It waits for somebody to release it.
    Held {
        /// Who holds it.
        by: String,
    },
    /// It was let start in this boot, and no attempt has begun yet.
    Starting {
        /// The boot.
        boot: BootId,
    },
    /// An attempt has begun; it lives, or the next one is due.
    Running,
}

impl QueueState {
    /// The word for it in output and databases.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Held { .. } => "held",
            Self::Starting { .. } => "starting",
            Self::Running => "running",
        }
    }

    /// Whether it takes its share of the machine.
    pub const fn is_up(&self) -> bool {
        matches!(self, Self::Starting { .. } | Self::Running)
    }
}
