//! `bij wait`: waits until runs have ended.

use std::collections::HashMap;
use std::io::{self, Write};
use std::process::ExitCode;

use bij_core::queue::RunRef;
use bij_core::{AttemptEnd, RunEnd, RunId};
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use serde::Serialize;

use super::run::attempt_exit_code;
use crate::args::RunArg;
use crate::complete;
use crate::context::Context;
use crate::error::{CliError, Kind};
use crate::queue_source::{FinishedRun, OpenRuns, QueueWatch};
use crate::view::{TextFormat, View};

/// The text below `bij wait --help`.
const HELP: &str = "\
The exit code is that of `bij run`, for the last attempt of each run; a run that was cancelled or
gave up never ends with 0. Of several runs, the first one given that did not end with 0 decides.";

/// The arguments of `bij wait`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct WaitArgs {
    /// Runs; ID is its newest run
    #[arg(value_name = "RUN", required = true, add = ArgValueCompleter::new(complete::runs))]
    runs: Vec<RunArg>,
    /// Wait only until the first of them has ended
    #[arg(long)]
    any: bool,
}

/// Waits until all runs have ended, or one with `--any`. Returns the code of the first given run that did not end
/// with 0, as `bij run` does.
pub(super) async fn wait(context: &Context, args: &WaitArgs) -> Result<ExitCode, CliError> {
    let mut watch = QueueWatch::start(context).await?;
    let mut positions: HashMap<RunId, usize> = HashMap::new();
    for (position, RunArg(name)) in args.runs.iter().enumerate() {
        let run = match name {
            RunRef::Run(run) => run.clone(),
            // A name without a number means the run that is the newest now.
            RunRef::Newest(_) => watch.why(name).await?.entry.id(),
        };
        positions.entry(run).or_insert(position);
    }
    let position = |run: &RunId| positions.get(run).copied().unwrap_or(usize::MAX);
    let mut open = OpenRuns::new(watch, positions.keys().cloned());
    let mut ended: Vec<EndedRun> = Vec::new();
    loop {
        let mut finished = open.catch_up().await?;
        finished.sort_by_key(|run| position(&run.run));
        for run in finished {
            ended.push(report(context, run).await?);
        }
        if open.is_empty() || args.any && !ended.is_empty() {
            break;
        }
        open.watch().wait().await;
    }
    ended.sort_by_key(|run| position(&run.run));
    let code = ended.iter().map(|run| run.code).find(|code| *code != 0).unwrap_or(0);
    context.terminal.show(&EndedRuns(ended))?;
    Ok(ExitCode::from(code))
}

/// Prints that a run has ended, and with which code.
async fn report(context: &Context, finished: FinishedRun) -> Result<EndedRun, CliError> {
    let FinishedRun { run, end, last } = finished;
    let last = match last {
        Some(last) => Some(last),
        None => last_attempt(context, &run).await?,
    };
    let ended = EndedRun { code: exit_code(end, last.as_ref()), run, end };
    context.terminal.status(&ended.sentence());
    Ok(ended)
}

/// Returns the end of a run's last attempt, from the ledger.
async fn last_attempt(context: &Context, run: &RunId) -> Result<Option<AttemptEnd>, CliError> {
    let history = context.history().await?;
    let last = history.newest_attempt(Some(&run.experiment), Some(run.number), 0).await?;
    Ok(last.and_then(|attempt| attempt.end))
}

/// Returns the exit code for a run that is over: that of its last attempt, but never 0 if the run was cancelled or
/// gave up.
fn exit_code(end: Option<RunEnd>, last: Option<&AttemptEnd>) -> u8 {
    let of_attempt = last.map(|last| attempt_exit_code(Some(last)));
    match end {
        Some(RunEnd::Success | RunEnd::Stopped) => of_attempt.unwrap_or(0),
        Some(RunEnd::Never | RunEnd::GaveUp | RunEnd::Cancelled) | None => {
            of_attempt.filter(|code| *code != 0).unwrap_or(Kind::Failed.code())
        }
    }
}

/// The result of `bij wait`.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
struct EndedRuns(Vec<EndedRun>);

/// A run that has ended, with its exit code.
#[derive(Clone, Debug, Serialize)]
struct EndedRun {
    #[serde(serialize_with = "as_text")]
    run: RunId,
    #[serde(rename = "ended")]
    end: Option<RunEnd>,
    #[serde(rename = "exit_code")]
    code: u8,
}

fn as_text<S: serde::Serializer>(run: &RunId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(run)
}

impl EndedRun {
    /// Returns the status line: `x#3: ended: gave-up, exit code 137`.
    pub(crate) fn sentence(&self) -> String {
        let Self { run, end, code } = self;
        let end = end.map_or_else(String::new, |end| format!(": {end}"));
        match code {
            0 => format!("{run}: ended{end}"),
            code => format!("{run}: ended{end}, exit code {code}"),
        }
    }
}

impl View for EndedRuns {
    /// Writes nothing: each end was already reported on stderr.
    fn text(&self, _: &mut dyn Write, _: &TextFormat) -> io::Result<()> {
        Ok(())
    }
}
