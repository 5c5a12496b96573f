//! The verbs of the queue and their arguments.

use bij_api::message::State;
use bij_core::ExperimentId;
use bij_core::queue::GroupName;
use clap::{Args, Subcommand};
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter};

use super::{EditArgs, IdArg, RunArg, SubmitArgs, help};
use crate::complete;

/// What is done with runs that wait.
#[derive(Debug, Subcommand)]
pub(crate) enum QueueVerb {
    /// Put runs into the queue: of experiments, of files, or of a command
    Submit(Box<SubmitArgs>),
    /// List the runs that are not over, in starting order
    Queue(QueueArgs),
    /// Tell why a run does not start: every closed gate, and who goes first
    Why(WhyArgs),
    /// Change the terms on which waiting runs start
    Edit(Box<EditArgs>),
    /// Keep waiting runs from starting
    Hold(RunsArgs),
    /// Let held runs wait for their gates again
    Release(RunsArgs),
    /// Take runs out of the queue; those that are up are stopped
    Cancel(RunsArgs),
    /// Stop runs that are up in good order and let them wait again, before all of their priority
    Requeue(RunsArgs),
    /// Give waiting runs another priority; higher goes first
    Priority(PriorityArgs),
    /// Give waiting runs another place in the queue
    Move(MoveArgs),
    /// Let no run start, of one group or at all; what is up runs on
    Pause(PauseArgs),
    /// Let runs start again
    Resume(PauseArgs),
    /// List groups of runs that share slots, set them up, or remove them
    Groups(GroupsArgs),
    /// Wait until runs have ended
    Wait(WaitArgs),
    /// Print what has changed, each change with its number
    Events(EventsArgs),
    /// Have the coordinator read its settings anew
    Reload,
}

/// `bij queue`.
#[derive(Debug, Args)]
pub(crate) struct QueueArgs {
    /// One experiment only
    #[arg(value_name = "ID", add = ArgValueCandidates::new(complete::ids))]
    pub(crate) id: Option<IdArg>,
    /// One group only
    #[arg(long, value_name = "GROUP", add = ArgValueCandidates::new(complete::groups))]
    pub(crate) group: Option<GroupName>,
    /// Runs in one state only: waiting, held, starting or running
    #[arg(long, value_name = "STATE", value_parser = state)]
    pub(crate) state: Option<State>,
}

/// A state of the queue, or the sentence why it is none.
fn state(word: &str) -> Result<State, String> {
    let all = [State::Waiting, State::Held, State::Starting, State::Running];
    all.into_iter()
        .find(|state| state.as_str() == word)
        .ok_or_else(|| "the states are waiting, held, starting and running".to_owned())
}

/// `bij why`.
#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// A run: ID is its newest
    #[arg(value_name = "RUN", add = ArgValueCompleter::new(complete::runs))]
    pub(crate) run: RunArg,
}

/// Verbs that want at least one run.
#[derive(Debug, Args)]
pub(crate) struct RunsArgs {
    /// Runs: ID is its newest that is not over, ID#N one of them
    #[arg(value_name = "RUN", required = true, add = ArgValueCompleter::new(complete::runs))]
    pub(crate) runs: Vec<RunArg>,
}

/// `bij priority`.
#[derive(Debug, Args)]
pub(crate) struct PriorityArgs {
    /// Higher goes first
    #[arg(value_name = "N", allow_negative_numbers = true)]
    pub(crate) priority: i32,
    /// Runs: ID is its newest that is not over, ID#N one of them
    #[arg(value_name = "RUN", required = true, add = ArgValueCompleter::new(complete::runs))]
    pub(crate) runs: Vec<RunArg>,
}

/// `bij move`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("place").required(true))]
pub(crate) struct MoveArgs {
    /// Runs, in the order in which they are to stand
    #[arg(value_name = "RUN", required = true, add = ArgValueCompleter::new(complete::runs))]
    pub(crate) runs: Vec<RunArg>,
    /// Before all of the same priority
    #[arg(long, group = "place")]
    pub(crate) first: bool,
    /// Behind all of the same priority
    #[arg(long, group = "place")]
    pub(crate) last: bool,
    /// Just before this run, with its priority
    #[arg(long, value_name = "RUN", group = "place", add = ArgValueCompleter::new(complete::runs))]
    pub(crate) before: Option<RunArg>,
    /// Just behind this run, with its priority
    #[arg(long, value_name = "RUN", group = "place", add = ArgValueCompleter::new(complete::runs))]
    pub(crate) behind: Option<RunArg>,
}

/// `bij pause` and `bij resume`.
#[derive(Debug, Args)]
pub(crate) struct PauseArgs {
    /// Of this group; of all if none is named
    #[arg(value_name = "GROUP", add = ArgValueCandidates::new(complete::groups))]
    pub(crate) group: Option<GroupName>,
}

/// `bij groups`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct GroupsArgs {
    /// What is to be done; they are listed without
    #[command(subcommand)]
    pub(crate) verb: Option<GroupsVerb>,
}

/// What is done with groups.
#[derive(Debug, Subcommand)]
pub(crate) enum GroupsVerb {
    /// Set a group up, or change it
    Set {
        /// Its name
        #[arg(value_name = "GROUP", add = ArgValueCandidates::new(complete::groups))]
        name: GroupName,
        /// How many of its runs run at the same time at most; infinity is as many as coordinator.toml
        /// says, or the machine lets
        #[arg(long, value_name = "N", value_parser = slots)]
        slots: Slots,
    },
    /// Forget a group's slots and its pause
    Remove {
        /// Its name
        #[arg(value_name = "GROUP", add = ArgValueCandidates::new(complete::groups))]
        name: GroupName,
    },
}

/// How many may run at the same time; `None` is as many as the settings say, or the machine lets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slots(pub(crate) Option<u32>);

fn slots(text: &str) -> Result<Slots, String> {
    match text {
        "infinity" => Ok(Slots(None)),
        number => number
            .parse()
            .map(|slots| Slots(Some(slots)))
            .map_err(|_| "write a number of runs, or infinity".to_owned()),
    }
}

/// `bij wait`.
#[derive(Debug, Args)]
#[command(after_help = help::WAIT)]
pub(crate) struct WaitArgs {
    /// Runs: ID is its newest, ID#N one of them
    #[arg(value_name = "RUN", required = true, add = ArgValueCompleter::new(complete::runs))]
    pub(crate) runs: Vec<RunArg>,
    /// Until the first of them has ended
    #[arg(long)]
    pub(crate) any: bool,
}

/// `bij events`.
#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// Those after the event with this number
    #[arg(long, value_name = "SEQ")]
    pub(crate) since: Option<u64>,
    /// Go on with new events as they come
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// The newest N only; 10 with --follow and without --since
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) lines: Option<usize>,
}

impl QueueArgs {
    /// The experiment, if one is named.
    pub(crate) fn experiment(&self) -> Option<ExperimentId> {
        self.id.as_ref().map(|IdArg(id)| id.clone())
    }
}
