//! The verbs of the queue.

mod change;
mod edit;
mod events;
mod groups;
mod list;
mod submit;
mod wait;
mod why;

use std::process::ExitCode;

use bij_core::request::CoordinatorStatus;

use crate::args::QueueVerb;
use crate::context::Context;
use crate::error::{CliError, Kind};
use crate::time_arg::NotBefore;
use crate::view::coordinator_warnings;

/// Executes one verb and returns the exit code.
pub(super) async fn dispatch(verb: QueueVerb, context: &Context) -> Result<ExitCode, CliError> {
    match verb {
        QueueVerb::Wait(args) => return wait::wait(context, &args).await,
        QueueVerb::Submit(args) => submit::submit(context, &args).await?,
        QueueVerb::Queue(args) => list::list(context, &args).await?,
        QueueVerb::Why(args) => why::why(context, &args).await?,
        QueueVerb::Edit(args) => edit::edit(context, &args).await?,
        QueueVerb::Hold(args) => change::hold(context, &args).await?,
        QueueVerb::Release(args) => change::release(context, &args).await?,
        QueueVerb::Cancel(args) => change::cancel(context, &args).await?,
        QueueVerb::Requeue(args) => change::requeue(context, &args).await?,
        QueueVerb::Priority(args) => change::priority(context, &args).await?,
        QueueVerb::Move(args) => change::move_runs(context, &args).await?,
        QueueVerb::Pause(args) => groups::pause(context, &args, true).await?,
        QueueVerb::Resume(args) => groups::pause(context, &args, false).await?,
        QueueVerb::Groups(args) => groups::groups(context, &args).await?,
        QueueVerb::Events(args) => events::events(context, &args).await?,
        QueueVerb::Reload => groups::reload(context).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints warnings about the coordinator that explain why no run starts.
fn warn_about_coordinator(context: &Context, status: Option<&CoordinatorStatus>) {
    for warning in status.map(coordinator_warnings).unwrap_or_default() {
        context.terminal.warning(&warning);
    }
}

/// Parses the value of `--not-before`, if it is given.
fn parse_not_before(
    context: &Context,
    text: Option<&String>,
) -> Result<Option<NotBefore>, CliError> {
    let format = context.terminal.format();
    let time = text.map(|text| NotBefore::parse(text, format.now, format.zone.get())).transpose();
    time.map_err(|error| CliError::new(Kind::Usage, error.to_string()))
}
