//! `bij wait`: until runs have ended.

mod awaited;

use std::process::ExitCode;

use crate::args::{RunArg, WaitArgs};
use crate::context::Context;
use crate::error::CliError;
use crate::source::Live;
use crate::view::EndedRuns;
use awaited::Awaited;

/// Waits until all of them have ended, or one, and ends as `bij run` does: with the code of the
/// first run given that did not end well.
pub(super) async fn wait(context: &Context, args: &WaitArgs) -> Result<ExitCode, CliError> {
    let live = Live::begin(context).await?;
    let names: Vec<_> = args.runs.iter().map(|RunArg(run)| run.clone()).collect();
    let mut awaited = Awaited::find(context, live, &names).await?;
    while !(awaited.is_empty() || args.any && awaited.has_ended()) {
        awaited.wait().await?;
    }
    let ended = awaited.into_ended();
    let code = ended.iter().map(|one| one.code).find(|code| *code != 0).unwrap_or(0);
    context.terminal.show(&EndedRuns(ended))?;
    Ok(ExitCode::from(code))
}
