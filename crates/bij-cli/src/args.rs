//! The arguments of the command line.

mod experiment;
mod help;
mod power;
mod queue;
mod run_ref;
mod simulate;
mod target;
mod terms;
mod verbs;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

pub(crate) use experiment::IdArg;
pub(crate) use power::{PowerArgs, PowerVerb};
pub(crate) use queue::{
    EventsArgs, GroupsArgs, GroupsVerb, MoveArgs, PauseArgs, PriorityArgs, QueueArgs, QueueVerb,
    RunsArgs, Slots, WaitArgs, WhyArgs,
};
pub(crate) use run_ref::RunArg;
pub(crate) use simulate::SimulateArgs;
pub(crate) use target::Target;
pub(crate) use terms::{EditArgs, SubmitArgs};
pub(crate) use verbs::{
    BoardArgs, CheckArgs, EnableArgs, HistoryArgs, IdsArgs, LogsArgs, MaybeIdsArgs, RunArgs,
    ShellArgs, ShowArgs, StartArgs,
};

/// Runs memory-hungry, crash-prone experiments under limits that PID 1 enforces, restarts those that
/// crash, and records why each attempt ended.
#[derive(Debug, Parser)]
#[command(
    name = "bij",
    version,
    propagate_version = true,
    after_help = help::ROOT,
    after_long_help = help::ROOT_LONG,
    disable_help_subcommand = false
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// The options that every verb accepts.
#[derive(Debug, Default, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(crate) struct Global {
    /// Print JSON for programs (docs/json.md)
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub(crate) json: bool,
    /// Print without colours; the variable `NO_COLOR` does the same
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub(crate) no_color: bool,
    /// Print no hints and no status lines
    #[arg(short, long, global = true, help_heading = "Everywhere")]
    pub(crate) quiet: bool,
    /// Use the calling user's own service manager, definitions and database
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub(crate) user: bool,
    /// Work without systemd: `run` supervises by itself; the default where systemd is not PID 1
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub(crate) local: bool,
    /// Put all paths below DIR; implies --local
    #[arg(long, global = true, value_name = "DIR", help_heading = "Everywhere")]
    pub(crate) root: Option<PathBuf>,
}

/// The hidden verb by which `bij run` starts processes (see `bij_local::shim`).
pub(crate) const SHIM: &str = "local-shim";

/// A shell for which there is a completion script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// The verbs, named as in systemctl where it has the same.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run experiments or a command in the foreground until they have ended
    Run(RunArgs),
    /// Start an experiment; additions hold for this run only
    Start(StartArgs),
    #[command(flatten)]
    Queue(QueueVerb),
    /// Stop experiments in good order
    Stop(IdsArgs),
    /// Stop experiments and start them again, with their current definitions
    Restart(IdsArgs),
    /// Start experiments at boot
    Enable(EnableArgs),
    /// No longer start experiments at boot
    Disable(EnableArgs),
    /// Show the state of experiments, with their last log lines
    Status(MaybeIdsArgs),
    /// List all experiments, one per line
    #[command(visible_alias = "ls")]
    List,
    /// Show all properties of experiments as KEY=VALUE
    Show(ShowArgs),
    /// List attempts, each with its cause and the evidence
    History(HistoryArgs),
    /// Print the output of experiments
    Logs(LogsArgs),
    /// Reset the failed state and the start limit of experiments
    #[command(visible_alias = "reset-failed")]
    Reset(MaybeIdsArgs),
    /// Start all experiments that are enabled
    StartAll,
    /// Stop all experiments that are up
    StopAll,
    /// Check definitions and list all errors, each with file, line and key
    Check(CheckArgs),
    /// Show temperatures, clocks and load of this machine, or of the one captured in --root
    Board(BoardArgs),
    /// List the power modes of this board, or switch the mode
    Power(PowerArgs),
    /// Show what would be done about heat, for a recorded trace or a modelled board
    Simulate(SimulateArgs),
    /// Print the JSON Schema of definitions
    Schema,
    /// Print the completion script for a shell
    Completions {
        /// bash, zsh or fish
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
    /// Execute an experiment's command, as the supervisor requests on the standard input
    #[command(hide = true, name = SHIM)]
    Shim,
}

#[cfg(test)]
mod tests;
