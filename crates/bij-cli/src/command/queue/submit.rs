//! `bij submit`: runs into the queue.

mod define;
mod plan;

use bij_api::message::{Submit, SubmitOptions};
use bij_api::{ClientError, RefusalKind};
use bij_core::ExperimentId;

use crate::args::SubmitArgs;
use crate::context::Context;
use crate::coordinator;
use crate::error::{CliError, Kind};
use crate::view::{DryRuns, QueueList, Queued, Taken};
use crate::when::Earliest;
use plan::Planned;

/// Puts all of them into the queue, or none; prints the names of the runs.
pub(super) async fn submit(context: &Context, args: &SubmitArgs) -> Result<(), CliError> {
    let not_before = super::earliest(context, args.not_before.as_ref())?;
    let planned = plan::plan(context, args)?;
    if args.dry_run {
        return dry_run(context, args, not_before, &planned).await;
    }
    context.warn_of_lingering();
    // Nothing is written where nobody takes it in.
    let client = coordinator::connect(context).await?;
    let defined = define::define(context, &planned)?;
    let asked = planned.iter().zip(defined.ids());
    let runs: Vec<Submit> =
        asked.map(|(one, id)| submission(args, not_before, id, one.extras())).collect();
    match client.submit(&runs, SubmitOptions { dry_run: false }).await {
        Ok(entries) => {
            let list = QueueList(entries);
            if !context.terminal.json() {
                context.terminal.status(&taken_in(&list));
            }
            context.terminal.show(&Taken(list.0))
        }
        Err(error) => {
            if error.refusal().is_some() {
                defined.take_back(context);
            }
            Err(refused(error))
        }
    }
}

/// What was taken in: one run by its name, several by their number.
fn taken_in(list: &QueueList) -> String {
    match list.0.as_slice() {
        [one] => Queued::from(one.clone()).sentence(),
        _ => list.summary(),
    }
}

fn submission(
    args: &SubmitArgs,
    not_before: Option<Earliest>,
    id: &ExperimentId,
    extras: String,
) -> Submit {
    Submit {
        extras,
        priority: args.priority,
        group: args.group.clone(),
        after: args.after.dependencies(),
        not_before: not_before.and_then(Earliest::at),
        delay: not_before.and_then(Earliest::delay),
        hold: args.hold,
        now: args.now,
        ..Submit::new(id.clone())
    }
}

/// Tells what would be queued; asks the coordinator about all that are defined already, as it cannot
/// know the others.
async fn dry_run(
    context: &Context,
    args: &SubmitArgs,
    not_before: Option<Earliest>,
    planned: &[Planned],
) -> Result<(), CliError> {
    let known = planned.iter().filter_map(|one| Some((one, one.known_as()?)));
    let runs: Vec<Submit> =
        known.map(|(one, id)| submission(args, not_before, id, one.extras_if_known())).collect();
    if runs.len() < planned.len() {
        let text = "whether the coordinator takes in what is not defined yet is not known";
        context.terminal.status(text);
    }
    if !runs.is_empty() {
        match coordinator::try_connect(context).await {
            Ok(client) => {
                let asked = client.submit(&runs, SubmitOptions { dry_run: true }).await;
                asked.map_err(refused)?;
            }
            Err(error) => context.terminal.warning(&CliError::from(error).sentence()),
        }
    }
    let count = planned.len();
    let noun = if count == 1 { "run" } else { "runs" };
    context.terminal.status(&format!("{count} {noun} would be queued."));
    context.terminal.show(&DryRuns(planned.iter().map(Planned::view).collect()))
}

/// A run that can never fit is an error of its definition.
fn refused(error: ClientError) -> CliError {
    let impossible = |refusal: &bij_api::Refusal| refusal.kind == RefusalKind::Impossible;
    let impossible = error.refusal().is_some_and(impossible);
    let error = CliError::from(error);
    if impossible { CliError { kind: Kind::Definition, ..error } } else { error }
}
