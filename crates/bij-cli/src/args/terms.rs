//! The terms on which runs are queued.

use bij_core::queue::{Dependencies, Dependency, GroupName};
use clap::Args;
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter};

use super::verbs::{Overlay, ShellArgs};
use super::{IdArg, RunArg, Target, help};
use crate::complete;
use crate::sweep::Param;

/// The arguments of `bij submit`.
#[derive(Debug, Args)]
#[command(after_help = help::SUBMIT)]
pub(crate) struct SubmitArgs {
    #[command(flatten)]
    pub(crate) overlay: Overlay,
    /// Make one experiment of each combination of values: NAME is set in its environment, and
    /// {NAME} is replaced in its command
    #[arg(long = "param", value_name = "NAME=VALUES")]
    pub(crate) params: Vec<Param>,
    /// The id of the experiment that a command or a file becomes; of a sweep: ID.1, ID.2, …
    #[arg(long, value_name = "ID")]
    pub(crate) name: Option<IdArg>,
    /// Higher goes first; 0 unless the definition says otherwise
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) priority: Option<i32>,
    /// Take a slot of this group
    #[arg(long, value_name = "GROUP", add = ArgValueCandidates::new(complete::groups))]
    pub(crate) group: Option<GroupName>,
    #[command(flatten)]
    pub(crate) after: AfterArgs,
    /// Do not start before this time, or before +SPAN from now
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) not_before: Option<String>,
    /// Do not start before `bij release`
    #[arg(long)]
    pub(crate) hold: bool,
    /// Do not wait for gates such as memory or heat
    #[arg(long, conflicts_with = "hold")]
    pub(crate) now: bool,
    /// Show what would be queued, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) shell: ShellArgs,
    /// Experiments, or files with definitions
    #[arg(value_name = "TARGET", required_unless_present = "command", add = ArgValueCompleter::new(complete::targets))]
    pub(crate) targets: Vec<Target>,
    /// A command to run as an experiment
    #[arg(last = true, value_name = "COMMAND", conflicts_with = "targets")]
    pub(crate) command: Vec<String>,
}

/// The runs that have to end first.
#[derive(Debug, Default, Args)]
pub(crate) struct AfterArgs {
    /// Start after the success of all of these, separated by commas; `end:RUN` is any end of RUN
    #[arg(long, value_name = "RUN,…", value_delimiter = ',', add = ArgValueCandidates::new(complete::ids))]
    pub(crate) after: Vec<Dependency>,
    /// Start after the first of these, separated by commas
    #[arg(long, value_name = "RUN,…", value_delimiter = ',', add = ArgValueCandidates::new(complete::ids), conflicts_with = "after")]
    pub(crate) after_any: Vec<Dependency>,
}

/// The arguments of `bij edit`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("change").multiple(true).required(true)
    .args(["after", "after_any"]))]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(crate) struct EditArgs {
    /// Higher goes first
    #[arg(long, value_name = "N", allow_negative_numbers = true, group = "change")]
    pub(crate) priority: Option<i32>,
    /// Take a slot of this group
    #[arg(long, value_name = "GROUP", group = "change", add = ArgValueCandidates::new(complete::groups))]
    pub(crate) group: Option<GroupName>,
    #[command(flatten)]
    pub(crate) after: AfterArgs,
    /// Wait for no other run
    #[arg(long, group = "change", conflicts_with_all = ["after", "after_any"])]
    pub(crate) after_none: bool,
    /// Do not start before this time, or before +SPAN from now
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, group = "change")]
    pub(crate) not_before: Option<String>,
    /// Start at any time
    #[arg(long, group = "change", conflicts_with = "not_before")]
    pub(crate) any_time: bool,
    /// Do not wait for gates such as memory or heat
    #[arg(long, group = "change")]
    pub(crate) now: bool,
    /// Wait for all gates again
    #[arg(long, group = "change", conflicts_with = "now")]
    pub(crate) not_now: bool,
    /// Runs; ID is its newest run that is not over
    #[arg(value_name = "RUN", required = true, add = ArgValueCompleter::new(complete::runs))]
    pub(crate) runs: Vec<RunArg>,
}

impl AfterArgs {
    /// Returns the dependencies; `None` if neither option is given.
    pub(crate) fn dependencies(&self) -> Option<Dependencies> {
        match (self.after.as_slice(), self.after_any.as_slice()) {
            ([], []) => None,
            ([], any) => Some(Dependencies::Any(any.to_vec())),
            (all, _) => Some(Dependencies::All(all.to_vec())),
        }
    }
}
