//! `bij wait`: until runs have ended.

use std::process::ExitCode;

use bij_api::message::State;
use bij_core::port::AttemptQuery;
use bij_core::queue::RunRef;
use bij_core::{RunEnd, RunId};

use crate::args::{RunArg, WaitArgs};
use crate::command::run::ending;
use crate::context::Context;
use crate::error::{CliError, Kind};
use crate::source::Live;
use crate::view::{EndedRun, EndedRuns};

/// Waits until all of them have ended, or one, and ends as `bij run` does: with the code of the
/// first run given that did not end well.
pub(super) async fn wait(context: &Context, args: &WaitArgs) -> Result<ExitCode, CliError> {
    let mut live = Live::begin(context).await?;
    let mut runs: Vec<RunId> = Vec::new();
    for RunArg(run) in &args.runs {
        // A name without a number means the run that is its newest now.
        let id = live.why(run).await?.entry.id();
        if !runs.contains(&id) {
            runs.push(id);
        }
    }
    let mut ended: Vec<EndedRun> = Vec::new();
    loop {
        for run in &runs {
            if ended.iter().any(|known| known.run == *run) {
                continue;
            }
            let entry = live.why(&RunRef::Run(run.clone())).await?.entry;
            if entry.state == State::Ended {
                let code = code(context, run, entry.ended).await?;
                let one = EndedRun { run: run.clone(), end: entry.ended, code };
                context.terminal.status(&one.sentence());
                ended.push(one);
            }
        }
        if ended.len() == runs.len() || (args.any && !ended.is_empty()) {
            break;
        }
        live.wait().await;
    }
    ended.sort_by_key(|one| runs.iter().position(|run| *run == one.run));
    let code = ended.iter().map(|one| one.code).find(|code| *code != 0).unwrap_or(0);
    context.terminal.show(&EndedRuns(ended))?;
    Ok(ExitCode::from(code))
}

/// The exit code for a run that is over: its last attempt's, but never 0 for one that was given up.
async fn code(context: &Context, run: &RunId, end: Option<RunEnd>) -> Result<u8, CliError> {
    let query = AttemptQuery {
        experiment: Some(run.experiment.clone()),
        run: Some(run.number),
        newest: Some(1),
        ..AttemptQuery::default()
    };
    let attempts = context.past().await?.attempts(&query).await?;
    let last = attempts.last().and_then(|attempt| attempt.end.as_ref());
    let told = last.map(|last| ending::exit_code(Some(last)));
    Ok(match end {
        Some(RunEnd::Success | RunEnd::Stopped) => told.unwrap_or(0),
        Some(RunEnd::Never | RunEnd::GaveUp | RunEnd::Cancelled) | None => {
            told.filter(|code| *code != 0).unwrap_or(Kind::Failed.code())
        }
    })
}
