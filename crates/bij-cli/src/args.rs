//! The command line as it is typed.

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

/// Runs memory-hungry, crash-prone experiments under the limits of PID 1, brings crashed ones back
/// with their history, and tells what every attempt ended of.
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

/// What every verb understands.
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
    /// Ask the calling user's own service manager, with that user's definitions and database
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub(crate) user: bool,
    /// Do without systemd: `run` supervises by itself; the default where systemd is not PID 1
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub(crate) local: bool,
    /// Put all paths below DIR; implies --local
    #[arg(long, global = true, value_name = "DIR", help_heading = "Everywhere")]
    pub(crate) root: Option<PathBuf>,
}

/// The hidden verb by which `bij run` starts processes (see `bij_local::shim`).
pub(crate) const SHIM: &str = "local-shim";

/// A shell that completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// The verbs; systemctl's where it has one.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run experiments or a command in the foreground until they have ended
    Run(RunArgs),
    /// Start an experiment; what is added holds for this run only
    Start(StartArgs),
    #[command(flatten)]
    Queue(QueueVerb),
    /// Stop experiments in good order
    Stop(IdsArgs),
    /// Stop experiments and start them again, with their definitions as they are now
    Restart(IdsArgs),
    /// Have experiments started at boot
    Enable(EnableArgs),
    /// Have experiments no longer started at boot
    Disable(EnableArgs),
    /// Tell how experiments are, with their last lines of log
    Status(MaybeIdsArgs),
    /// List experiments, one a line
    #[command(visible_alias = "ls")]
    List,
    /// Tell everything about experiments as KEY=VALUE
    Show(ShowArgs),
    /// List attempts and what each ended of
    History(HistoryArgs),
    /// Print what experiments wrote
    Logs(LogsArgs),
    /// Forget that experiments failed and how often they were started
    #[command(visible_alias = "reset-failed")]
    Reset(MaybeIdsArgs),
    /// Start all experiments that are enabled
    StartAll,
    /// Stop all experiments that are up
    StopAll,
    /// Check definitions and tell everything that is wrong, each with its line
    Check(CheckArgs),
    /// Tell how hot, how fast and how busy this machine is, or the one captured in --root
    Board(BoardArgs),
    /// List the power modes of this board, or switch it to another one
    Power(PowerArgs),
    /// Tell what would have been done about heat, in a recorded trace or with a modelled board
    Simulate(SimulateArgs),
    /// Print the JSON Schema of definitions
    Schema,
    /// Print the script by which a shell completes what is typed
    Completions {
        /// bash, zsh or fish
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
    /// Become an experiment, as the supervisor orders on the standard input
    #[command(hide = true, name = SHIM)]
    Shim,
}

#[cfg(test)]
mod tests;
