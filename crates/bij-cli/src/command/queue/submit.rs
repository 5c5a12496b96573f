//! `bij submit`: puts runs into the queue.

mod define;
mod plan;

use bij_api::{ClientError, RefusalKind};
use bij_core::ExperimentId;
use bij_core::request::{Submit, SubmitOptions};

use crate::args::SubmitArgs;
use crate::context::Context;
use crate::coordinator;
use crate::error::{CliError, Kind};
use crate::time_arg::NotBefore;
use crate::view::{DryRuns, QueueList, RunEntries, WaitingRun};
use plan::PlannedRun;

/// Puts all runs into the queue, or none; prints their names.
pub(super) async fn submit(context: &Context, args: &SubmitArgs) -> Result<(), CliError> {
    let not_before = super::parse_not_before(context, args.not_before.as_ref())?;
    let planned = plan::plan(context, args)?;
    if args.dry_run {
        return dry_run(context, args, not_before, &planned).await;
    }
    context.warn_about_lingering();
    // Connected first, so that no definition is written without a coordinator.
    let client = coordinator::connect(context).await?;
    let written = define::define(context, &planned)?;
    let with_ids = planned.iter().zip(written.ids());
    let runs: Vec<Submit> =
        with_ids.map(|(run, id)| submission(args, not_before, id, run.extras())).collect();
    match client.submit(&runs, SubmitOptions { dry_run: false }).await {
        Ok(entries) => {
            let list = QueueList(entries);
            if !context.terminal.is_json() {
                context.terminal.status(&describe(&list));
            }
            context.terminal.show(&RunEntries(list.0))
        }
        Err(error) => {
            if error.refusal().is_some() {
                written.remove_new(context);
            }
            Err(to_cli_error(error))
        }
    }
}

/// Describes the submitted runs: one run by its name and state, several by a summary.
fn describe(list: &QueueList) -> String {
    match list.0.as_slice() {
        [entry] => WaitingRun::from(entry.clone()).sentence(),
        _ => list.summary(),
    }
}

fn submission(
    args: &SubmitArgs,
    not_before: Option<NotBefore>,
    id: &ExperimentId,
    extras: String,
) -> Submit {
    Submit {
        extras,
        priority: args.priority,
        group: args.group.clone(),
        after: args.after.dependencies(),
        not_before: not_before.and_then(NotBefore::at),
        delay: not_before.and_then(NotBefore::delay),
        hold: args.hold,
        now: args.now,
        ..Submit::new(id.clone())
    }
}

/// Shows what would be queued. The coordinator checks the runs whose experiments are defined; it cannot read
/// the other definitions, which are not written.
async fn dry_run(
    context: &Context,
    args: &SubmitArgs,
    not_before: Option<NotBefore>,
    planned: &[PlannedRun],
) -> Result<(), CliError> {
    let known = planned.iter().filter_map(|run| Some((run, run.known_as()?)));
    let runs: Vec<Submit> =
        known.map(|(run, id)| submission(args, not_before, id, run.extras_if_known())).collect();
    if runs.len() < planned.len() {
        let text =
            "Runs of experiments that are not defined yet are not checked by the coordinator.";
        context.terminal.status(text);
    }
    if !runs.is_empty() {
        match coordinator::try_connect(context).await {
            Ok(client) => {
                let result = client.submit(&runs, SubmitOptions { dry_run: true }).await;
                result.map_err(to_cli_error)?;
            }
            Err(error) => context.terminal.warning(&CliError::from(error).sentence()),
        }
    }
    let count = planned.len();
    let noun = if count == 1 { "run" } else { "runs" };
    context.terminal.status(&format!("{count} {noun} would be queued."));
    context.terminal.show(&DryRuns(planned.iter().map(PlannedRun::view).collect()))
}

/// Converts the error of a submission; a run that can never start is an error of its definition.
fn to_cli_error(error: ClientError) -> CliError {
    let impossible = |refusal: &bij_api::Refusal| refusal.kind == RefusalKind::Impossible;
    let is_impossible = error.refusal().is_some_and(impossible);
    let error = CliError::from(error);
    if is_impossible { CliError { kind: Kind::Definition, ..error } } else { error }
}
