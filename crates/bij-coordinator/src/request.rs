//! Requests to a coordinator, and their answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use bij_core::queue::{
    Delay, Dependencies, Group, GroupName, NotBefore, Pause, QueuedRun, RunRef, SlotsFrom,
    WaitingOn,
};
use bij_core::{
    BootId, Bytes, ExperimentId, InvocationId, Outcome, RunEnd, RunId, TimeSpan, Timestamp,
};

use crate::Now;

/// Runs that one caller submits together, all or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmitRequest {
    /// Runs to submit.
    pub runs: Vec<Submit>,
    /// Name of the caller, for output.
    pub by: String,
    /// Whether to check the runs only, without queueing them.
    pub dry_run: bool,
}

impl SubmitRequest {
    /// Returns a request to submit runs for the caller `by`.
    pub fn new(by: &str, runs: impl IntoIterator<Item = Submit>) -> Self {
        Self { runs: runs.into_iter().collect(), by: by.to_owned(), dry_run: false }
    }
}

/// A run to submit. Absent fields are as in the definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submit {
    /// Experiment to run.
    pub experiment: ExperimentId,
    /// Overlay on the definition for this run only, as TOML; may be empty.
    pub extras: String,
    /// Priority; higher goes first.
    pub priority: Option<i32>,
    /// Group whose slots the run uses.
    pub group: Option<GroupName>,
    /// Runs that it waits for.
    pub after: Option<Dependencies>,
    /// Earliest start.
    pub not_before: Option<Earliest>,
    /// Whether it is held until it is released.
    pub hold: bool,
    /// Whether it starts without regard to most gates.
    pub now: bool,
}

impl Submit {
    /// Returns a run with the terms of its definition.
    pub const fn new(experiment: ExperimentId) -> Self {
        Self {
            experiment,
            extras: String::new(),
            priority: None,
            group: None,
            after: None,
            not_before: None,
            hold: false,
            now: false,
        }
    }
}

/// Earliest start, as requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Earliest {
    /// A time of day.
    At(Timestamp),
    /// A delay after the request.
    In(TimeSpan),
}

impl Earliest {
    /// Returns the earliest start for a request at this time of a boot.
    pub(crate) fn counted_from(self, boot: BootId, now: Now) -> NotBefore {
        match self {
            Self::At(at) => NotBefore::At(at),
            Self::In(span) => NotBefore::Delay(Delay::new(span, boot, now.at, now.uptime)),
        }
    }
}

/// A request that acts on all of the named runs, or on none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Holds waiting runs.
    Hold,
    /// Releases held runs, which wait for their gates again.
    Release,
    /// Removes runs from the queue: waiting runs end as cancelled, and units that are up are stopped.
    Cancel,
    /// Stops units that are up and lets their runs wait again, before all others of their priority.
    Requeue,
    /// Stops units that are up, which ends their runs.
    Stop,
    /// Changes the priority of waiting runs.
    Prioritize(i32),
    /// Moves waiting runs, in the order in which they are named.
    Move(MoveTo),
}

/// A position among waiting runs. A run that is put beside another also gets its priority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MoveTo {
    /// Before all of the same priority.
    First,
    /// Behind all of the same priority.
    Last,
    /// Directly before this run.
    Before(RunId),
    /// Directly behind this run.
    Behind(RunId),
}

/// Effect of a request on one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunOutcome {
    /// Run that was meant; a name without a number has been resolved.
    pub run: RunId,
    /// Whether the request changed anything; a stop under way counts as a change.
    pub outcome: Outcome,
}

/// Changes to the terms of a run that waits or is held; absent fields stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edit {
    /// New priority; higher goes first.
    pub priority: Option<i32>,
    /// New group.
    pub group: Option<GroupName>,
    /// New dependencies; an empty list removes them.
    pub after: Option<Dependencies>,
    /// New earliest start; `Some(None)` removes it.
    pub not_before: Option<Option<Earliest>>,
    /// Whether it starts without regard to most gates.
    pub now: Option<bool>,
}

/// A start that was requested elsewhere and asks for admission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// Experiment to start.
    pub experiment: ExperimentId,
    /// Whether this is a start at boot. An enabled experiment whose last run succeeded is then not run again,
    /// unless its definition says so.
    pub at_boot: bool,
    /// Requester, if known: `systemctl start`, `boot`.
    pub by: String,
    /// Invocation of the unit that asks.
    pub invocation: Option<InvocationId>,
    /// Overlay on the definition for this start, as TOML; may be empty. It is kept with the run if the run
    /// has to wait.
    pub extras: String,
}

/// Answer to an [`Admission`] request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdmissionVerdict {
    /// Whether the start may go on.
    pub admitted: bool,
    /// Queued run that it starts, if there is one.
    pub run: Option<RunId>,
    /// Reason of a refusal, or a remark on an admission, as a sentence without a full stop.
    pub text: Option<String>,
    /// Closed gates of the run.
    pub waiting_on: Vec<WaitingOn>,
    /// Whether a refused start could not be queued; the caller has to keep it.
    pub unrecorded: bool,
}

/// A run in the queue, with every gate that keeps it from starting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueEntry {
    /// The run.
    pub run: QueuedRun,
    /// Closed gates. Empty for a run that is up, unless its start cannot be requested, and for a run that
    /// was just submitted, until the next decision. Thousands of runs can share one list.
    pub waiting_on: Arc<[WaitingOn]>,
}

/// Reason why a run does not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// It has ended.
    Over {
        /// Run that was named.
        run: RunRef,
        /// How it ended.
        end: RunEnd,
    },
    /// It is in the queue.
    Queued {
        /// Run with its closed gates.
        entry: Box<QueueEntry>,
        /// Waiting runs ahead of it, first one first.
        ahead: Vec<RunId>,
    },
}

/// A group and its use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStatus {
    /// The group; one that a run names without being set up is included too.
    pub group: Group,
    /// Source of the number of slots, if the group has its own.
    pub slots_from: Option<SlotsFrom>,
    /// Number of its runs that are up.
    pub running: u32,
    /// Number of its runs that wait or are held.
    pub waiting: u32,
}

/// Status of a coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Start of the coordinator.
    pub since: Timestamp,
    /// Sequence number of the newest event that it has applied.
    pub seq: u64,
    /// Number of waiting runs.
    pub waiting: u32,
    /// Number of held runs.
    pub held: u32,
    /// Number of runs that are up.
    pub running: u32,
    /// Number of runs that may be up.
    pub slots: u32,
    /// Memory that all runs may claim; `None` is unlimited.
    pub memory_budget: Option<Bytes>,
    /// Memory that the running units claim.
    pub memory_claimed: Bytes,
    /// GPU memory in use by each experiment that is up, or why it is not known; `None` on a machine whose GPU
    /// has its own memory.
    pub gpu_memory: Option<Result<BTreeMap<ExperimentId, Bytes>, String>>,
    /// Pause of all starts, if there is one.
    pub paused: Option<Pause>,
    /// Current failures, as sentences without full stops.
    pub troubles: Vec<String>,
}

/// Health of a run that is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthReport {
    /// Run that was judged.
    pub run: RunId,
    /// Its health.
    pub health: crate::Health,
    /// Time of the last change of its health.
    pub since: Timestamp,
}
