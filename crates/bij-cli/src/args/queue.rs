//! The verbs of the queue and their arguments.

use bij_core::ExperimentId;
use bij_core::queue::GroupName;
use bij_core::request::EntryState;
use clap::{Args, Subcommand};

use super::{EditArgs, IdArg, RunArg, SubmitArgs, help};
use crate::complete;
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter};

/// The verbs of the queue.
#[derive(Debug, Subcommand)]
pub(crate) enum QueueVerb {
    /// Put runs into the queue: experiments, files, or a command
    Submit(Box<SubmitArgs>),
    /// List the runs that are not over, in starting order
    Queue(QueueArgs),
    /// Show why a run waits: every closed gate, and the runs that go first
    Why(WhyArgs),
    /// Change the terms of waiting runs
    Edit(Box<EditArgs>),
    /// Keep waiting runs from starting
    Hold(RunsArgs),
    /// Let held runs wait for their gates again
    Release(RunsArgs),
    /// Remove runs from the queue; runs that are up are stopped
    Cancel(RunsArgs),
    /// Stop runs that are up and let them wait again, before all others of their priority
    Requeue(RunsArgs),
    /// Change the priority of waiting runs; higher goes first
    Priority(PriorityArgs),
    /// Change the position of waiting runs in the queue
    Move(MoveArgs),
    /// Let no run start, of all or of one group; runs that are up continue
    Pause(PauseArgs),
    /// Let runs start again
    Resume(PauseArgs),
    /// List groups of runs that share slots, set them up, or remove them
    Groups(GroupsArgs),
    /// Wait until runs have ended
    Wait(WaitArgs),
    /// List every change, each with its number
    Events(EventsArgs),
    /// Let the coordinator read its settings again
    Reload,
}

/// The arguments of `bij queue`.
#[derive(Debug, Args)]
pub(crate) struct QueueArgs {
    /// Show the runs of this experiment only
    #[arg(value_name = "ID", add = ArgValueCandidates::new(complete::ids))]
    pub(crate) id: Option<IdArg>,
    /// Show the runs of this group only
    #[arg(long, value_name = "GROUP", add = ArgValueCandidates::new(complete::groups))]
    pub(crate) group: Option<GroupName>,
    /// Show the runs in this state only: waiting, held, starting or running
    #[arg(long, value_name = "STATE", value_parser = parse_state)]
    pub(crate) state: Option<EntryState>,
}

/// Parses the state of a run that is not over.
fn parse_state(word: &str) -> Result<EntryState, String> {
    let all = [EntryState::Waiting, EntryState::Held, EntryState::Starting, EntryState::Running];
    all.into_iter()
        .find(|state| state.as_str() == word)
        .ok_or_else(|| "the states are waiting, held, starting and running".to_owned())
}

/// The arguments of `bij why`.
#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// The run; ID is its newest run
    #[arg(value_name = "RUN", add = ArgValueCompleter::new(complete::runs))]
    pub(crate) run: RunArg,
}

/// The arguments of verbs that take at least one run.
#[derive(Debug, Args)]
pub(crate) struct RunsArgs {
    /// Runs; ID is its newest run that is not over
    #[arg(value_name = "RUN", required = true, add = ArgValueCompleter::new(complete::runs))]
    pub(crate) runs: Vec<RunArg>,
}

/// The arguments of `bij priority`.
#[derive(Debug, Args)]
pub(crate) struct PriorityArgs {
    /// The new priority; higher goes first
    #[arg(value_name = "N", allow_negative_numbers = true)]
    pub(crate) priority: i32,
    /// Runs; ID is its newest run that is not over
    #[arg(value_name = "RUN", required = true, add = ArgValueCompleter::new(complete::runs))]
    pub(crate) runs: Vec<RunArg>,
}

/// The arguments of `bij move`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("place").required(true))]
pub(crate) struct MoveArgs {
    /// Runs, in their new order
    #[arg(value_name = "RUN", required = true, add = ArgValueCompleter::new(complete::runs))]
    pub(crate) runs: Vec<RunArg>,
    /// Before all others of the same priority
    #[arg(long, group = "place")]
    pub(crate) first: bool,
    /// Behind all others of the same priority
    #[arg(long, group = "place")]
    pub(crate) last: bool,
    /// Directly before this run, with its priority
    #[arg(long, value_name = "RUN", group = "place", add = ArgValueCompleter::new(complete::runs))]
    pub(crate) before: Option<RunArg>,
    /// Directly behind this run, with its priority
    #[arg(long, value_name = "RUN", group = "place", add = ArgValueCompleter::new(complete::runs))]
    pub(crate) behind: Option<RunArg>,
}

/// The arguments of `bij pause` and `bij resume`.
#[derive(Debug, Args)]
pub(crate) struct PauseArgs {
    /// The group; all runs if no group is given
    #[arg(value_name = "GROUP", add = ArgValueCandidates::new(complete::groups))]
    pub(crate) group: Option<GroupName>,
}

/// The arguments of `bij groups`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct GroupsArgs {
    /// Without a verb the groups are listed
    #[command(subcommand)]
    pub(crate) verb: Option<GroupsVerb>,
}

/// The verbs of `bij groups`.
#[derive(Debug, Subcommand)]
pub(crate) enum GroupsVerb {
    /// Set a group up, or change it
    Set {
        /// The name of the group
        #[arg(value_name = "GROUP", add = ArgValueCandidates::new(complete::groups))]
        name: GroupName,
        /// How many of its runs may be up at the same time; infinity removes this number, so that
        /// coordinator.toml or the machine sets the limit
        #[arg(long, value_name = "N", value_parser = parse_slots)]
        slots: Slots,
    },
    /// Remove the slots and the pause of a group
    Remove {
        /// The name of the group
        #[arg(value_name = "GROUP", add = ArgValueCandidates::new(complete::groups))]
        name: GroupName,
    },
}

/// How many runs of a group may be up at the same time; `None` leaves it to the settings and the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slots(pub(crate) Option<u32>);

fn parse_slots(text: &str) -> Result<Slots, String> {
    match text {
        "infinity" => Ok(Slots(None)),
        number => number
            .parse()
            .map(|slots| Slots(Some(slots)))
            .map_err(|_| "write a number of runs, or infinity".to_owned()),
    }
}

/// The arguments of `bij wait`.
#[derive(Debug, Args)]
#[command(after_help = help::WAIT)]
pub(crate) struct WaitArgs {
    /// Runs; ID is its newest run
    #[arg(value_name = "RUN", required = true, add = ArgValueCompleter::new(complete::runs))]
    pub(crate) runs: Vec<RunArg>,
    /// Wait only until the first of them has ended
    #[arg(long)]
    pub(crate) any: bool,
}

/// The arguments of `bij events`.
#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// Show the events after the one with this number
    #[arg(long, value_name = "SEQ")]
    pub(crate) since: Option<u64>,
    /// Continue with new events as they happen
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Show the newest N events only; 10 with --follow and without --since
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) lines: Option<usize>,
}

impl QueueArgs {
    /// Returns the experiment, if one is given.
    pub(crate) fn experiment(&self) -> Option<ExperimentId> {
        self.id.as_ref().map(|IdArg(id)| id.clone())
    }
}
