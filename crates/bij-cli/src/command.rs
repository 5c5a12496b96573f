//! The command line: its verbs, and which function executes each. A verb's file has its arguments, its work and its view.

mod board;
mod change_runs;
mod change_units;
mod check;
mod doctor;
mod edit;
mod events;
mod groups;
mod history;
mod list;
mod logs;
mod planned_experiment;
mod power;
mod queue;
mod run;
mod show;
mod simulate;
mod start;
mod status;
mod submit;
mod wait;
mod why;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::args::{Global, MaybeIdsArgs};
use crate::complete::{self, Shell};
use crate::context::Context;
use crate::error::CliError;
use crate::terminal::Terminal;

use board::BoardArgs;
use change_runs::{MoveArgs, PriorityArgs, RunsArgs};
use change_units::{EnableArgs, IdsArgs};
use check::CheckArgs;
use edit::EditArgs;
use events::EventsArgs;
use groups::{GroupsArgs, PauseArgs};
use history::HistoryArgs;
use logs::LogsArgs;
use power::PowerArgs;
use queue::QueueArgs;
use run::RunArgs;
use show::ShowArgs;
use simulate::SimulateArgs;
use start::StartArgs;
use submit::SubmitArgs;
use wait::WaitArgs;
use why::WhyArgs;

/// The text below `bij -h`.
const HELP: &str = "\
An ID may be written as the name of its unit: brain-experiment@x.service is x.
A RUN is ID, its newest run, or ID#N.
Exit codes: bij --help. Commands of the older tool: docs/cli.md.";

/// The text below `bij --help`.
const LONG_HELP: &str = "\
An ID may be written as the name of its unit: brain-experiment@x.service is x.
A RUN is ID, its newest run, or ID#N.

Exit codes of bij itself:
  0    done as asked; also for a start that is queued because a gate is closed
  1    not done as asked: a job failed, or the request is not possible now
  2    the command line is wrong, or the request makes no sense
  100  an error in bij, or an error without a code of its own
  101  a definition, or a file that it names, is wrong or missing; or a run could never start
  102  no such experiment, run or group
  103  no permission
  104  the service manager or the coordinator cannot be reached
  105  not possible here, for example `start` without a resident manager
  106  the state database failed
`bij run` ends with the experiment's own code; see `bij run --help`.";

/// Runs memory-hungry, crash-prone experiments under limits that PID 1 enforces, restarts those that
/// crash, and records why each attempt ended.
#[derive(Debug, Parser)]
#[command(
    name = "bij",
    version,
    propagate_version = true,
    after_help = HELP,
    after_long_help = LONG_HELP,
    disable_help_subcommand = false
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// The hidden verb by which `bij run` starts processes (see `bij_local::shim`).
pub(crate) const SHIM: &str = "local-shim";

/// The verbs, named as in systemctl where it has the same.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run experiments or a command in the foreground until they have ended
    Run(RunArgs),
    /// Start an experiment; additions hold for this run only
    Start(StartArgs),
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
    /// Check this machine and the installation of bij, and name the command that corrects each fault
    Doctor,
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

/// Executes one verb and returns the exit code.
pub(crate) async fn dispatch(command: Command, context: &Context) -> Result<ExitCode, CliError> {
    match command {
        Command::Run(args) => return run::run(context, &args).await,
        Command::Wait(args) => return wait::wait(context, &args).await,
        Command::Start(args) => start::start(context, &args).await?,
        Command::StartAll => start::start_all(context).await?,
        Command::Submit(args) => submit::submit(context, &args).await?,
        Command::Queue(args) => queue::queue(context, &args).await?,
        Command::Why(args) => why::why(context, &args).await?,
        Command::Edit(args) => edit::edit(context, &args).await?,
        Command::Hold(args) => change_runs::hold(context, &args).await?,
        Command::Release(args) => change_runs::release(context, &args).await?,
        Command::Cancel(args) => change_runs::cancel(context, &args).await?,
        Command::Requeue(args) => change_runs::requeue(context, &args).await?,
        Command::Priority(args) => change_runs::priority(context, &args).await?,
        Command::Move(args) => change_runs::move_runs(context, &args).await?,
        Command::Pause(args) => groups::pause(context, &args, true).await?,
        Command::Resume(args) => groups::pause(context, &args, false).await?,
        Command::Groups(args) => groups::groups(context, &args).await?,
        Command::Events(args) => events::events(context, &args).await?,
        Command::Reload => groups::reload(context).await?,
        Command::Stop(args) => change_units::stop(context, &args).await?,
        Command::StopAll => change_units::stop_all(context).await?,
        Command::Restart(args) => change_units::restart(context, &args).await?,
        Command::Enable(args) => change_units::enable(context, &args).await?,
        Command::Disable(args) => change_units::disable(context, &args).await?,
        Command::Reset(args) => change_units::reset(context, &args).await?,
        Command::Status(args) => status::status(context, &args).await?,
        Command::List => list::list(context).await?,
        Command::Show(args) => show::show(context, &args).await?,
        Command::History(args) => history::history(context, &args).await?,
        Command::Logs(args) => logs::logs(context, &args).await?,
        Command::Check(args) => check::check(context, &args)?,
        Command::Doctor => doctor::doctor(context).await?,
        Command::Board(args) => board::board(context, &args).await?,
        Command::Power(args) => power::power(context, &args).await?,
        Command::Simulate(args) => simulate::simulate(context, &args)?,
        Command::Schema => Terminal::print(&bij_definition::schema())?,
        Command::Completions { shell } => complete::print_script(shell)?,
        Command::Shim => return Ok(bij_local::shim::main()),
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests;
