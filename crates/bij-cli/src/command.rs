//! The verbs, one per file: each gathers data and passes a view to the terminal.

mod board;
mod check;
mod enable;
mod history;
mod list;
mod logs;
mod power;
mod queue;
mod reset;
mod run;
mod schema;
mod show;
mod simulate;
mod start;
mod status;
mod stop;
mod unit_action;

use std::process::ExitCode;

use bij_core::ExperimentId;
use bij_core::port::DefinitionSource as _;

use crate::args::{Command, IdArg};
use crate::complete;
use crate::context::Context;
use crate::error::CliError;

/// Executes one verb and returns the exit code.
pub(crate) async fn dispatch(command: Command, context: &Context) -> Result<ExitCode, CliError> {
    match command {
        Command::Run(args) => return run::run(context, &args).await,
        Command::Queue(verb) => return queue::dispatch(verb, context).await,
        Command::Check(args) => check::check(context, &args)?,
        Command::Start(args) => start::start(context, &args).await?,
        Command::StartAll => start::start_all(context).await?,
        Command::Stop(args) => stop::stop(context, &args).await?,
        Command::StopAll => stop::stop_all(context).await?,
        Command::Restart(args) => stop::restart(context, &args).await?,
        Command::Enable(args) => enable::enable(context, &args).await?,
        Command::Disable(args) => enable::disable(context, &args).await?,
        Command::Status(args) => status::status(context, &args).await?,
        Command::List => list::list(context).await?,
        Command::Show(args) => show::show(context, &args).await?,
        Command::History(args) => history::history(context, &args).await?,
        Command::Logs(args) => logs::logs(context, &args).await?,
        Command::Reset(args) => reset::reset(context, &args).await?,
        Command::Board(args) => board::board(context, &args).await?,
        Command::Power(args) => power::power(context, &args).await?,
        Command::Simulate(args) => simulate::simulate(context, &args)?,
        Command::Schema => schema::schema()?,
        Command::Completions { shell } => complete::print_script(shell)?,
        Command::Shim => return Ok(bij_local::shim::main()),
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the ids if each exists: defined, with a history, or loaded by the manager.
async fn existing_ids(context: &Context, ids: &[IdArg]) -> Result<Vec<ExperimentId>, CliError> {
    for IdArg(id) in ids {
        context.must_exist(id).await?;
    }
    Ok(to_ids(ids))
}

/// Returns the ids if each experiment can run, so that no action begins that is certain to fail.
fn runnable_ids(context: &Context, ids: &[IdArg]) -> Result<Vec<ExperimentId>, CliError> {
    for IdArg(id) in ids {
        check::must_be_runnable(context, &context.definitions().find(id)?)?;
    }
    Ok(to_ids(ids))
}

fn to_ids(ids: &[IdArg]) -> Vec<ExperimentId> {
    ids.iter().map(|IdArg(id)| id.clone()).collect()
}
