//! What is asked of a coordinator, and what it answers.

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

/// Runs that one caller wants taken in, all or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmitRequest {
    /// Which.
    pub runs: Vec<Submit>,
    /// Who asks, a person's name for output.
    pub by: String,
    /// Only look whether they would be taken in.
    pub dry_run: bool,
}

impl SubmitRequest {
    /// Runs that somebody wants taken in.
    pub fn new(by: &str, runs: impl IntoIterator<Item = Submit>) -> Self {
        Self { runs: runs.into_iter().collect(), by: by.to_owned(), dry_run: false }
    }
}

/// A run that is to be taken in. What is absent is as the definition says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submit {
    /// Of which experiment.
    pub experiment: ExperimentId,
    /// What is laid over the definition in this run only, as TOML; empty for nothing.
    pub extras: String,
    /// Higher goes first.
    pub priority: Option<i32>,
    /// Whose slots it uses.
    pub group: Option<GroupName>,
    /// Not before these.
    pub after: Option<Dependencies>,
    /// Not before this.
    pub not_before: Option<Earliest>,
    /// Whether it waits for somebody to release it.
    pub hold: bool,
    /// Whether it passes the gates.
    pub now: bool,
}

impl Submit {
    /// A run as the definition says.
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

/// The earliest start that a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Earliest {
    /// A time of day.
    At(Timestamp),
    /// So long after the request.
    In(TimeSpan),
}

impl Earliest {
    /// The earliest start, asked for at this moment of a boot.
    pub(crate) fn counted_from(self, boot: BootId, now: Now) -> NotBefore {
        match self {
            Self::At(at) => NotBefore::At(at),
            Self::In(span) => NotBefore::Delay(Delay::new(span, boot, now.at, now.uptime)),
        }
    }
}

/// What is to be done to runs, to all of them or to none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Keeps waiting ones from starting.
    Hold,
    /// Lets held ones wait for their gates again.
    Release,
    /// Takes them out of the queue: waiting ones end cancelled, those that are up are stopped.
    Cancel,
    /// Stops those that are up in good order and lets them wait again, before all others of their
    /// priority.
    Requeue,
    /// Stops those that are up in good order, which ends them.
    Stop,
    /// Gives waiting ones another priority.
    Prioritize(i32),
    /// Gives waiting ones another place, in the order in which they are named.
    Move(MoveTo),
}

/// A place among waiting runs. Who is put beside another gets its priority too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MoveTo {
    /// Before all of the same priority.
    First,
    /// Behind all of the same priority.
    Last,
    /// Just before this one.
    Before(RunId),
    /// Just behind this one.
    Behind(RunId),
}

/// What became of one run that something was done to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acted {
    /// Which: a name without a number has become the number of a run.
    pub run: RunId,
    /// Whether anything had to be changed; a stop that is under way counts as changed.
    pub outcome: Outcome,
}

/// What is to be changed about a run that waits or is held; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edit {
    /// Higher goes first.
    pub priority: Option<i32>,
    /// Whose slots it uses.
    pub group: Option<GroupName>,
    /// Not before these; an empty list is none.
    pub after: Option<Dependencies>,
    /// Not before this; `Some(None)` is at any time.
    pub not_before: Option<Option<Earliest>>,
    /// Whether it passes the gates.
    pub now: Option<bool>,
}

/// A start that came from elsewhere and asks whether it may go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// Of which experiment.
    pub experiment: ExperimentId,
    /// Whether the machine is booting: one that is enabled and whose last run succeeded is not run
    /// again then, unless its definition says so.
    pub at_boot: bool,
    /// Who asks, if that is known: `systemctl start`, `boot`.
    pub by: String,
    /// The invocation of the unit that asks.
    pub invocation: Option<InvocationId>,
    /// What is laid over the definition for this start, as TOML; empty for nothing. It is kept with
    /// the run if it has to wait.
    pub extras: String,
}

/// The answer to a start that came from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it may go on.
    pub admitted: bool,
    /// Which run it is, if one is in the queue for it.
    pub run: Option<RunId>,
    /// Why not, as a sentence without a full stop; of a yes, what is worth telling.
    pub text: Option<String>,
    /// Every closed gate.
    pub waiting_on: Vec<WaitingOn>,
    /// It may not go on, and could not be put into the queue; the caller has to keep the start.
    pub unrecorded: bool,
}

/// A run that is not over, with every gate that keeps it from starting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The run.
    pub run: QueuedRun,
    /// Empty for one that is up, unless its start cannot be asked for; and for one that has just been
    /// taken in: then it is not decided yet. Thousands can share one list.
    pub waiting_on: Arc<[WaitingOn]>,
}

/// Why a run does not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is over.
    Over {
        /// Which.
        run: RunRef,
        /// How it ended.
        end: RunEnd,
    },
    /// It is not.
    Queued {
        /// The run and its closed gates.
        listed: Box<Listed>,
        /// The waiting runs that go before it, the first one first.
        ahead: Vec<RunId>,
    },
}

/// A group and how full it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStatus {
    /// The group as it is in force; one that runs name and nobody has set up is told too.
    pub group: Group,
    /// Who says how many slots it has, if it has any of its own.
    pub slots_from: Option<SlotsFrom>,
    /// How many of its runs are up.
    pub running: u32,
    /// How many wait or are held.
    pub waiting: u32,
}

/// How a coordinator is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Since when it is there.
    pub since: Timestamp,
    /// The number of the newest event it has seen.
    pub seq: u64,
    /// How many runs wait.
    pub waiting: u32,
    /// How many are held.
    pub held: u32,
    /// How many are up.
    pub running: u32,
    /// How many may be up.
    pub slots: u32,
    /// How much memory may be claimed; `None` is without bound.
    pub memory_budget: Option<Bytes>,
    /// How much is claimed.
    pub memory_claimed: Bytes,
    /// What those that are up have of the GPU's memory, or why that is not known; `None` on a machine
    /// whose GPU has memory of its own.
    pub gpu_memory: Option<Result<BTreeMap<ExperimentId, Bytes>, String>>,
    /// Whether no run at all is let start.
    pub paused: Option<Pause>,
    /// What does not work at the moment, as sentences without full stops.
    pub troubles: Vec<String>,
}

/// How one experiment that is up does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthReport {
    /// Which run.
    pub run: RunId,
    /// How it does.
    pub health: crate::Health,
    /// Since when.
    pub since: Timestamp,
}
