//! `bij run`: runs experiments in the foreground until they have ended.

mod cgroup_place;
pub(super) mod ending;
mod local;
pub(super) mod prepare;
mod queued_runs;
mod screen;
mod signals;
mod systemd;

use std::collections::BTreeMap;
use std::process::ExitCode;

use bij_core::port::AttemptScan;
use bij_core::{Attempt, AttemptKey, ExperimentId};

use crate::args::RunArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::scope::Scope;
use crate::view::History;

/// Runs the experiments side by side. Returns the code of the first given one that did not end with 0.
pub(crate) async fn run(context: &Context, args: &RunArgs) -> Result<ExitCode, CliError> {
    let ids = prepare::prepare(context, args)?;
    context.warn_about_lingering();
    let before = newest_attempts(context, &ids).await?;
    let ends = match context.scope {
        Scope::Local => local::run(context, &ids, &args.shell).await?,
        Scope::System | Scope::User => {
            systemd::run(context, &ids).await?;
            BTreeMap::new()
        }
    };
    let attempts = attempts_since(context, before).await?;
    show_attempts(context, &attempts)?;
    let mut codes = ids.iter().map(|id| {
        let own = |attempt: &&Attempt| attempt.run.experiment == *id;
        let recorded = || attempts.iter().rfind(own)?.end.as_ref();
        ending::exit_code(ends.get(id).or_else(recorded))
    });
    Ok(ExitCode::from(codes.find(|code| *code != 0).unwrap_or(0)))
}

/// Returns the newest attempt of each experiment, if it has one.
async fn newest_attempts(
    context: &Context,
    ids: &[ExperimentId],
) -> Result<BTreeMap<ExperimentId, Option<AttemptKey>>, CliError> {
    let history = context.history().await?;
    let mut newest = BTreeMap::new();
    for id in ids {
        let last = history.tally(id).await?.last;
        newest.insert(id.clone(), last.map(|attempt| attempt.key));
    }
    Ok(newest)
}

/// Returns the attempts of each experiment after the one in `before`.
async fn attempts_since(
    context: &Context,
    before: BTreeMap<ExperimentId, Option<AttemptKey>>,
) -> Result<Vec<Attempt>, CliError> {
    let history = context.history().await?;
    let mut all = Vec::new();
    for (id, after) in before {
        let mut pieces =
            history.scan(AttemptScan { experiment: Some(id), run: None, after }, usize::MAX);
        while let Some(piece) = pieces.next().await? {
            all.extend(piece);
        }
    }
    Ok(all)
}

/// Shows the table of attempts: with `--json` on stdout as the result, else on stderr.
fn show_attempts(context: &Context, attempts: &[Attempt]) -> Result<(), CliError> {
    for Attempt { run, end, .. } in attempts {
        let left = end.as_ref().and_then(|end| end.evidence.left_behind.as_ref());
        if let Some(left) = left {
            context.terminal.warning(&format!(
                "{run}: {left}: an attempt ends with its main process, so the command must not leave work \
                 in the background"
            ));
        }
    }
    let history = History::of_several(attempts.to_vec());
    if context.terminal.is_json() {
        return context.terminal.show(&history);
    }
    context.terminal.show_on_stderr(&history);
    Ok(())
}
