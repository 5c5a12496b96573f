//! Verbs that change several runs, all or none: `bij hold`, `release`, `cancel`, `requeue`, `priority` and `move`.

use bij_api::Client;
use bij_core::RunId;
use bij_core::queue::RunRef;
use bij_core::request::{Act, MoveTo};
use clap::Args;
use clap_complete::engine::ArgValueCompleter;

use crate::args::RunArg;
use crate::context::Context;
use crate::error::CliError;
use crate::view::ChangedRuns;
use crate::{complete, coordinator};

/// The arguments of verbs that take at least one run.
#[derive(Debug, Args)]
pub(crate) struct RunsArgs {
    /// Runs; ID is its newest run that is not over
    #[arg(value_name = "RUN", required = true, add = ArgValueCompleter::new(complete::runs))]
    runs: Vec<RunArg>,
}

/// The arguments of `bij priority`.
#[derive(Debug, Args)]
pub(crate) struct PriorityArgs {
    /// The new priority; higher goes first
    #[arg(value_name = "N", allow_negative_numbers = true)]
    priority: i32,
    /// Runs; ID is its newest run that is not over
    #[arg(value_name = "RUN", required = true, add = ArgValueCompleter::new(complete::runs))]
    runs: Vec<RunArg>,
}

/// The arguments of `bij move`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("position").required(true))]
pub(crate) struct MoveArgs {
    /// Runs, in their new order
    #[arg(value_name = "RUN", required = true, add = ArgValueCompleter::new(complete::runs))]
    runs: Vec<RunArg>,
    /// Before all others of the same priority
    #[arg(long, group = "position")]
    first: bool,
    /// Behind all others of the same priority
    #[arg(long, group = "position")]
    last: bool,
    /// Directly before this run, with its priority
    #[arg(long, value_name = "RUN", group = "position", add = ArgValueCompleter::new(complete::runs))]
    before: Option<RunArg>,
    /// Directly behind this run, with its priority
    #[arg(long, value_name = "RUN", group = "position", add = ArgValueCompleter::new(complete::runs))]
    behind: Option<RunArg>,
}

/// The status texts for a run that was changed, and for one that needed no change.
type StatusTexts<'a> = (&'a str, &'a str);

/// Keeps runs from starting: `bij hold`.
pub(super) async fn hold(context: &Context, args: &RunsArgs) -> Result<(), CliError> {
    change(context, &Act::Hold, &args.runs, ("held", "already held")).await
}

/// Lets held runs start again: `bij release`.
pub(super) async fn release(context: &Context, args: &RunsArgs) -> Result<(), CliError> {
    change(context, &Act::Release, &args.runs, ("released", "was not held")).await
}

/// Removes runs from the queue: `bij cancel`.
pub(super) async fn cancel(context: &Context, args: &RunsArgs) -> Result<(), CliError> {
    change(context, &Act::Cancel, &args.runs, ("cancelled", "already over")).await
}

/// Stops runs and lets them wait again: `bij requeue`.
pub(super) async fn requeue(context: &Context, args: &RunsArgs) -> Result<(), CliError> {
    change(context, &Act::Requeue, &args.runs, ("requeued", "is already waiting")).await
}

/// Changes the priority of runs: `bij priority`.
pub(super) async fn priority(context: &Context, args: &PriorityArgs) -> Result<(), CliError> {
    let priority = args.priority;
    let changed = format!("has priority {priority}");
    let unchanged = format!("already has priority {priority}");
    change(context, &Act::Prioritize { priority }, &args.runs, (&changed, &unchanged)).await
}

/// Changes the position of runs: `bij move`.
pub(super) async fn move_runs(context: &Context, args: &MoveArgs) -> Result<(), CliError> {
    let client = coordinator::connect(context).await?;
    let to = match (&args.before, &args.behind) {
        (Some(RunArg(run)), _) => MoveTo::Before(resolve(&client, run).await?),
        (None, Some(RunArg(run))) => MoveTo::Behind(resolve(&client, run).await?),
        (None, None) if args.last => MoveTo::Last,
        (None, None) => MoveTo::First,
    };
    let texts = ("moved", "already there");
    change_with(context, &client, &Act::Move { to }, &args.runs, texts).await
}

/// Returns the id of a run. It is resolved once, so that a run submitted meanwhile does not become the target.
async fn resolve(client: &Client, run: &RunRef) -> Result<RunId, CliError> {
    match run {
        RunRef::Run(run) => Ok(run.clone()),
        RunRef::Newest(_) => Ok(client.why(run).await?.entry.id()),
    }
}

async fn change(
    context: &Context,
    act: &Act,
    runs: &[RunArg],
    texts: StatusTexts<'_>,
) -> Result<(), CliError> {
    let client = coordinator::connect(context).await?;
    change_with(context, &client, act, runs, texts).await
}

async fn change_with(
    context: &Context,
    client: &Client,
    act: &Act,
    runs: &[RunArg],
    (changed, unchanged): StatusTexts<'_>,
) -> Result<(), CliError> {
    let runs: Vec<RunRef> = runs.iter().map(|RunArg(run)| run.clone()).collect();
    let results = client.act(act, &runs).await?;
    for result in &results {
        let text = if result.changed { changed } else { unchanged };
        context.terminal.status(&format!("{}: {text}", result.run));
    }
    context.terminal.show(&ChangedRuns(results))
}
