//! `bij submit`: puts runs into the queue.

mod define;
mod param;
mod plan;
mod sweep;

use std::collections::BTreeMap;
use std::io::{self, Write};

use bij_api::{ClientError, RefusalKind};
use bij_core::ExperimentId;
use bij_core::queue::GroupName;
use bij_core::request::{Submit, SubmitOptions};
use clap::Args;
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter};
use serde::Serialize;

use super::queue::QueueList;
use crate::args::{AfterArgs, IdArg, Overlay, ShellArgs, TargetArg};
use crate::context::Context;
use crate::error::{CliError, Kind};
use crate::time_arg::{NotBeforeArg, parse_not_before};
use crate::view::{RunEntries, Table, TableColumn, TextFormat, View, WaitingRun, visible};
use crate::{complete, coordinator};
use define::define;
use param::Param;
use plan::{PlannedRun, plan};

/// The text below `bij submit --help`.
const HELP: &str = "\
Values of --param are separated by commas: lr=0.1,0.2; FIRST..LAST and FIRST..LAST..STEP are
ranges of integers, both ends included: seed=1..3. A value with a comma in it is quoted: \"a,b\".
Several --param make all combinations; the last parameter changes fastest.

A RUN is ID, its newest run, or ID#N. The names of the runs are printed, one per line.
The manual of the queue is docs/queue.md.";

/// The arguments of `bij submit`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct SubmitArgs {
    #[command(flatten)]
    overlay: Overlay,
    /// Make one experiment of each combination of values: NAME is set in its environment, and
    /// {NAME} is replaced in its command
    #[arg(long = "param", value_name = "NAME=VALUES")]
    params: Vec<Param>,
    /// The id of the experiment that a command or a file becomes; of a sweep: ID.1, ID.2, …
    #[arg(long, value_name = "ID")]
    name: Option<IdArg>,
    /// Higher goes first; 0 unless the definition says otherwise
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    priority: Option<i32>,
    /// Take a slot of this group
    #[arg(long, value_name = "GROUP", add = ArgValueCandidates::new(complete::groups))]
    group: Option<GroupName>,
    #[command(flatten)]
    after: AfterArgs,
    /// Do not start before this time, or before +SPAN from now
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    not_before: Option<String>,
    /// Do not start before `bij release`
    #[arg(long)]
    hold: bool,
    /// Do not wait for gates such as memory or heat
    #[arg(long, conflicts_with = "hold")]
    now: bool,
    /// Show what would be queued, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    shell: ShellArgs,
    /// Experiments, or files with definitions
    #[arg(value_name = "TARGET", required_unless_present = "command", add = ArgValueCompleter::new(complete::targets))]
    targets: Vec<TargetArg>,
    /// A command to run as an experiment
    #[arg(last = true, value_name = "COMMAND", conflicts_with = "targets")]
    command: Vec<String>,
}

/// Puts all runs into the queue, or none; prints their names.
pub(super) async fn submit(context: &Context, args: &SubmitArgs) -> Result<(), CliError> {
    let not_before = parse_not_before(context, args.not_before.as_ref())?;
    let planned = plan(context, args)?;
    if args.dry_run {
        return dry_run(context, args, not_before, &planned).await;
    }
    context.warn_about_lingering();
    // Connected first, so that no definition is written without a coordinator.
    let client = coordinator::connect(context).await?;
    let written = define(context, &planned)?;
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
    not_before: Option<NotBeforeArg>,
    id: &ExperimentId,
    extras: String,
) -> Submit {
    Submit {
        extras,
        priority: args.priority,
        group: args.group.clone(),
        after: args.after.dependencies(),
        not_before: not_before.and_then(NotBeforeArg::at),
        delay: not_before.and_then(NotBeforeArg::delay),
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
    not_before: Option<NotBeforeArg>,
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

/// Runs that would be queued: `bij submit --dry-run`.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
struct DryRuns(Vec<DryRun>);

/// A run that would be queued.
#[derive(Clone, Debug, Serialize)]
struct DryRun {
    /// The experiment; `None` if its id would be generated.
    experiment: Option<ExperimentId>,
    /// Whether the experiment is already defined.
    defined: bool,
    /// Its parameter values in a sweep.
    parameters: BTreeMap<String, String>,
    command: Vec<String>,
}

impl View for DryRuns {
    fn text(&self, out: &mut dyn Write, format: &TextFormat) -> io::Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut table = Table::new([
            TableColumn::left("EXPERIMENT"),
            TableColumn::left("PARAMETERS").dispensable(1).flexible(),
            TableColumn::left("COMMAND").flexible(),
        ]);
        for run in &self.0 {
            let id = run.experiment.as_ref().map_or("(generated)", ExperimentId::as_str);
            let parameters: Vec<String> =
                run.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
            table.row([
                id.into(),
                visible(&parameters.join(" ")).into_owned().into(),
                visible(&run.command.join(" ")).into_owned().into(),
            ]);
        }
        table.write(out, format)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_shows_its_values_first() {
        let one = |number: u32, lr: &str| DryRun {
            experiment: ExperimentId::new(&format!("train.{number}")).ok(),
            defined: false,
            parameters: [("lr".to_owned(), lr.to_owned())].into(),
            command: vec!["/usr/bin/train".to_owned(), format!("--lr={lr}")],
        };
        let runs = DryRuns(vec![one(1, "0.1"), one(2, "0.2")]);
        let text = |width| {
            let mut out = Vec::new();
            runs.text(&mut out, &TextFormat { width, ..TextFormat::for_test() }).unwrap();
            String::from_utf8(out).unwrap()
        };
        insta::assert_snapshot!(text(None));
        insta::assert_snapshot!(text(Some(30)));
        insta::assert_json_snapshot!(runs);
    }
}
