//! `bij run`: experiments in the foreground until they have ended.

mod cgroup_place;
pub(super) mod ending;
mod in_queue;
mod local;
pub(super) mod prepare;
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

/// Runs them side by side and ends with the code of the first that did not end well.
pub(crate) async fn run(context: &Context, args: &RunArgs) -> Result<ExitCode, CliError> {
    let ids = prepare::prepare(context, args)?;
    context.warn_of_lingering();
    let before = newest_attempts(context, &ids).await?;
    let seen = match context.scope {
        Scope::Local => local::run(context, &ids, &args.shell).await?,
        Scope::System | Scope::User => {
            systemd::run(context, &ids).await?;
            BTreeMap::new()
        }
    };
    let attempts = attempts_since(context, before).await?;
    close(context, &attempts)?;
    let mut codes = ids.iter().map(|id| {
        let own = |attempt: &&Attempt| attempt.run.experiment == *id;
        let recorded = || attempts.iter().rfind(own)?.end.as_ref();
        ending::exit_code(seen.get(id).or_else(recorded))
    });
    Ok(ExitCode::from(codes.find(|code| *code != 0).unwrap_or(0)))
}

/// Returns the newest attempt of each experiment, if it has one.
async fn newest_attempts(
    context: &Context,
    ids: &[ExperimentId],
) -> Result<BTreeMap<ExperimentId, Option<AttemptKey>>, CliError> {
    let past = context.past().await?;
    let mut newest = BTreeMap::new();
    for id in ids {
        let last = past.tally(id).await?.last;
        newest.insert(id.clone(), last.map(|attempt| attempt.key));
    }
    Ok(newest)
}

/// The attempts that were opened meanwhile.
async fn attempts_since(
    context: &Context,
    before: BTreeMap<ExperimentId, Option<AttemptKey>>,
) -> Result<Vec<Attempt>, CliError> {
    let past = context.past().await?;
    let mut all = Vec::new();
    for (id, after) in before {
        let mut pieces =
            past.scan(AttemptScan { experiment: Some(id), run: None, after }, usize::MAX);
        while let Some(piece) = pieces.next().await? {
            all.extend(piece);
        }
    }
    Ok(all)
}

/// The closing table: the result itself for a program, a word at parting for people.
fn close(context: &Context, attempts: &[Attempt]) -> Result<(), CliError> {
    for Attempt { run, end, .. } in attempts {
        let left = end.as_ref().and_then(|end| end.evidence.left_behind.as_ref());
        if let Some(left) = left {
            context.terminal.warning(&format!(
                "{run}: {left}: an attempt ends with its main process, so the command must not put its work \
                 into the background"
            ));
        }
    }
    let history = History::of_several(attempts.to_vec());
    if context.terminal.json() {
        return context.terminal.show(&history);
    }
    context.terminal.part(&history);
    Ok(())
}
