//! Verbs that do one thing to several runs, to all or none.

use bij_api::Client;
use bij_api::message::{Act, MoveTo};
use bij_core::RunId;
use bij_core::queue::RunRef;

use crate::args::{MoveArgs, PriorityArgs, RunArg, RunsArgs};
use crate::context::Context;
use crate::coordinator;
use crate::error::CliError;
use crate::view::ChangedRuns;

/// What is said of a run that was changed, and of one that already was so.
type Said<'a> = (&'a str, &'a str);

/// `bij hold`.
pub(super) async fn hold(context: &Context, args: &RunsArgs) -> Result<(), CliError> {
    change(context, &Act::Hold, &args.runs, ("held", "already held")).await
}

/// `bij release`.
pub(super) async fn release(context: &Context, args: &RunsArgs) -> Result<(), CliError> {
    change(context, &Act::Release, &args.runs, ("released", "was not held")).await
}

/// `bij cancel`.
pub(super) async fn cancel(context: &Context, args: &RunsArgs) -> Result<(), CliError> {
    change(context, &Act::Cancel, &args.runs, ("cancelled", "already over")).await
}

/// `bij requeue`.
pub(super) async fn requeue(context: &Context, args: &RunsArgs) -> Result<(), CliError> {
    change(context, &Act::Requeue, &args.runs, ("requeued", "already waits")).await
}

/// `bij priority`.
pub(super) async fn priority(context: &Context, args: &PriorityArgs) -> Result<(), CliError> {
    let priority = args.priority;
    let (done, so) = (format!("has priority {priority}"), format!("already has {priority}"));
    change(context, &Act::Prioritize { priority }, &args.runs, (&done, &so)).await
}

/// `bij move`.
pub(super) async fn put(context: &Context, args: &MoveArgs) -> Result<(), CliError> {
    let client = coordinator::connect(context).await?;
    let to = match (&args.before, &args.behind) {
        (Some(RunArg(run)), _) => MoveTo::Before(named(&client, run).await?),
        (None, Some(RunArg(run))) => MoveTo::Behind(named(&client, run).await?),
        (None, None) if args.last => MoveTo::Last,
        (None, None) => MoveTo::First,
    };
    change_by(context, &client, &Act::Move { to }, &args.runs, ("moved", "already there")).await
}

/// The run's own name: beside whom others are put must be one run, whatever is submitted meanwhile.
async fn named(client: &Client, run: &RunRef) -> Result<RunId, CliError> {
    match run {
        RunRef::Run(run) => Ok(run.clone()),
        RunRef::Newest(_) => Ok(client.why(run).await?.entry.id()),
    }
}

async fn change(
    context: &Context,
    act: &Act,
    runs: &[RunArg],
    said: Said<'_>,
) -> Result<(), CliError> {
    let client = coordinator::connect(context).await?;
    change_by(context, &client, act, runs, said).await
}

async fn change_by(
    context: &Context,
    client: &Client,
    act: &Act,
    runs: &[RunArg],
    (done, so): Said<'_>,
) -> Result<(), CliError> {
    let runs: Vec<RunRef> = runs.iter().map(|RunArg(run)| run.clone()).collect();
    let changed = client.act(act, &runs).await?;
    for one in &changed {
        context.terminal.status(&format!("{}: {}", one.run, if one.changed { done } else { so }));
    }
    context.terminal.show(&ChangedRuns(changed))
}
