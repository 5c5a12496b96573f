//! `bij wait`: until runs have ended.

use std::collections::HashMap;
use std::process::ExitCode;

use bij_core::queue::RunRef;
use bij_core::{AttemptEnd, RunEnd, RunId};

use crate::args::{RunArg, WaitArgs};
use crate::command::run::ending;
use crate::context::Context;
use crate::error::{CliError, Kind};
use crate::source::{Ended, Live, OpenRuns};
use crate::view::{EndedRun, EndedRuns};

/// Waits until all of them have ended, or one, and ends as `bij run` does: with the code of the
/// first run given that did not end well.
pub(super) async fn wait(context: &Context, args: &WaitArgs) -> Result<ExitCode, CliError> {
    let mut live = Live::begin(context).await?;
    let mut places: HashMap<RunId, usize> = HashMap::new();
    for (place, RunArg(name)) in args.runs.iter().enumerate() {
        let run = match name {
            RunRef::Run(run) => run.clone(),
            // A name without a number means the run that is its newest now.
            RunRef::Newest(_) => live.why(name).await?.entry.id(),
        };
        places.entry(run).or_insert(place);
    }
    let place = |run: &RunId| places.get(run).copied().unwrap_or(usize::MAX);
    let mut open = OpenRuns::new(live, places.keys().cloned());
    let mut ended: Vec<EndedRun> = Vec::new();
    loop {
        let mut now = open.catch_up().await?;
        now.sort_by_key(|one| place(&one.run));
        for one in now {
            let one = tell(context, one).await?;
            ended.push(one);
        }
        if open.is_empty() || args.any && !ended.is_empty() {
            break;
        }
        open.live().wait().await;
    }
    ended.sort_by_key(|one| place(&one.run));
    let code = ended.iter().map(|one| one.code).find(|code| *code != 0).unwrap_or(0);
    context.terminal.show(&EndedRuns(ended))?;
    Ok(ExitCode::from(code))
}

/// Says that a run has ended, and with which code.
async fn tell(context: &Context, ended: Ended) -> Result<EndedRun, CliError> {
    let Ended { run, end, last } = ended;
    let last = match last {
        Some(last) => Some(last),
        None => last_attempt(context, &run).await?,
    };
    let one = EndedRun { code: code(end, last.as_ref()), run, end };
    context.terminal.status(&one.sentence());
    Ok(one)
}

/// The end of a run's last attempt, from the ledger.
async fn last_attempt(context: &Context, run: &RunId) -> Result<Option<AttemptEnd>, CliError> {
    let past = context.past().await?;
    let last = past.newest_attempt(Some(&run.experiment), Some(run.number), 0).await?;
    Ok(last.and_then(|attempt| attempt.end))
}

/// The exit code for a run that is over: its last attempt's, but never 0 for one that was given up.
fn code(end: Option<RunEnd>, last: Option<&AttemptEnd>) -> u8 {
    let told = last.map(|last| ending::exit_code(Some(last)));
    match end {
        Some(RunEnd::Success | RunEnd::Stopped) => told.unwrap_or(0),
        Some(RunEnd::Never | RunEnd::GaveUp | RunEnd::Cancelled) | None => {
            told.filter(|code| *code != 0).unwrap_or(Kind::Failed.code())
        }
    }
}
