//! `bij run`: runs experiments in the foreground until they have ended.

mod cgroup_location;
mod local;
mod queued_runs;
mod screen;
mod signals;
mod systemd;

use std::collections::BTreeMap;
use std::process::ExitCode;

use bij_core::port::AttemptScan;
use bij_core::{Attempt, AttemptEnd, AttemptKey, Cause, Exit, ExperimentId};
use bij_definition::{SpecOverlay, to_toml};
use clap::Args;
use clap_complete::engine::ArgValueCompleter;

use super::history::AttemptTable;
use super::planned_experiment::{PlannedExperiment, ad_hoc, from_file};
use crate::args::{IdArg, Overlay, ShellArgs, TargetArg};
use crate::complete;
use crate::context::Context;
use crate::error::{CliError, Kind};
use crate::scope::Scope;

/// The text below `bij run --help`.
const HELP: &str = "\
A TARGET with a `/` in it, or ending in .toml or .json, is a file; anything else is an id.
A command after -- becomes a definition under a generated name, or the name given by --name.

Ctrl-C stops in good order; a second Ctrl-C kills.

Exit codes:
  0..125   the experiment's own code in the last attempt of the run; 124 also for the time limit
  126      the last attempt never ran: its command could not be executed
  128+N    the last attempt was ended by signal N: 137 for an OOM kill
  100..106 bij's own, see `bij --help`; 2 if the command line is wrong
Of several experiments, the first one given that did not end with 0 decides.";

/// The arguments of `bij run`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(super) overlay: Overlay,
    /// The id of the experiment that a command or a file becomes
    #[arg(long, value_name = "ID")]
    name: Option<IdArg>,
    #[command(flatten)]
    shell: ShellArgs,
    /// Experiments, or files with definitions
    #[arg(value_name = "TARGET", required_unless_present = "command", add = ArgValueCompleter::new(complete::targets))]
    targets: Vec<TargetArg>,
    /// A command to run as an experiment
    #[arg(last = true, value_name = "COMMAND", conflicts_with = "targets")]
    pub(super) command: Vec<String>,
}

/// Runs the experiments side by side. Returns the code of the first given one that did not end with 0.
pub(super) async fn run(context: &Context, args: &RunArgs) -> Result<ExitCode, CliError> {
    let ids = prepare(context, args)?;
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
        attempt_exit_code(ends.get(id).or_else(recorded))
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
    let history = AttemptTable::of_several(attempts.to_vec());
    if context.terminal.is_json() {
        return context.terminal.show(&history);
    }
    context.terminal.show_on_stderr(&history);
    Ok(())
}

/// Returns the experiments to run, in the given order, after writing the definitions that are missing. Fails before
/// any change if something visible keeps one of them from running.
fn prepare(context: &Context, args: &RunArgs) -> Result<Vec<ExperimentId>, CliError> {
    let overlay = args.overlay.spec()?;
    let name = args.name.as_ref().map(|IdArg(id)| id);
    if name.is_some() && args.targets.len() > 1 {
        return Err(CliError::new(Kind::Usage, "--name is for one command or one file"));
    }
    if !args.command.is_empty() {
        return Ok(vec![define_command(context, args, name, &overlay)?]);
    }
    let mut plans = Vec::new();
    for target in &args.targets {
        plans.push(match target {
            TargetArg::Experiment(id) => {
                if name.is_some() {
                    return Err(CliError::new(Kind::Usage, format!("{id} already has a name"))
                        .hint("--name is for a command or a file"));
                }
                let found = context.definitions().find_with(id, &overlay)?;
                PlannedExperiment::new(context, found, true)?
            }
            TargetArg::File(path) => from_file(context, path, name)?,
        });
    }
    let mut ids: Vec<ExperimentId> = Vec::new();
    for PlannedExperiment { spec, is_defined } in plans {
        if !is_defined {
            context.definitions().submit(&spec.id, &to_toml(&spec))?;
        }
        if !overlay.is_empty() || context.definitions().extras(&spec.id)?.is_some() {
            context.definitions().set_extras(&spec.id, &overlay)?;
        }
        if !ids.contains(&spec.id) {
            ids.push(spec.id);
        }
    }
    Ok(ids)
}

/// Writes the definition of a command, under a generated name if none is given.
fn define_command(
    context: &Context,
    args: &RunArgs,
    name: Option<&ExperimentId>,
    overlay: &SpecOverlay,
) -> Result<ExperimentId, CliError> {
    let spec = ad_hoc(context, &args.command, name, overlay, &args.shell)?;
    if name.is_some() {
        context.definitions().submit(&spec.id, &to_toml(&spec))?;
        return Ok(spec.id);
    }
    Ok(context.definitions().submit_ad_hoc(spec)?.id)
}

/// The command could not be executed, as in env(1).
const NEVER_RAN: u8 = 126;

/// The time limit was reached, as in timeout(1).
const OUT_OF_TIME: u8 = 124;

/// Returns the exit code for an experiment with this end of its last attempt.
pub(super) fn attempt_exit_code(last: Option<&AttemptEnd>) -> u8 {
    let Some(end) = last else {
        // No attempt was opened, or its end could not be recorded.
        return Kind::Failed.code();
    };
    match (end.cause, end.evidence.exit) {
        (Cause::StartFailed, _) => NEVER_RAN,
        (
            Cause::Success | Cause::Stopped | Cause::Heat | Cause::Reboot | Cause::ManagerStop,
            Some(Exit::Code(0)) | None,
        ) => 0,
        (Cause::TimeLimit, Some(Exit::Code(0)) | None) => OUT_OF_TIME,
        // The main process exited with 0, but the cause is a crash.
        (_, Some(Exit::Code(0)) | None) => Kind::Failed.code(),
        (_, Some(Exit::Code(code))) => u8::try_from(code).unwrap_or(u8::MAX),
        (_, Some(Exit::Signal(signal) | Exit::CoreDump(signal))) => {
            u8::try_from(signal.saturating_add(128)).unwrap_or(u8::MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use bij_core::{Evidence, Timestamp};

    use super::*;

    fn code(cause: Cause, exit: Option<Exit>) -> u8 {
        let mut evidence = Evidence::default();
        evidence.exit = exit;
        attempt_exit_code(Some(&AttemptEnd { at: Timestamp::from_micros(0), cause, evidence }))
    }

    #[test]
    fn codes_pass_through_and_signals_are_shifted() {
        assert_eq!(code(Cause::Success, Some(Exit::Code(0))), 0);
        assert_eq!(code(Cause::Exit, Some(Exit::Code(3))), 3);
        assert_eq!(code(Cause::OomKill, Some(Exit::Signal(9))), 137);
        assert_eq!(code(Cause::Signal, Some(Exit::CoreDump(11))), 139);
        assert_eq!(code(Cause::Stopped, Some(Exit::Signal(15))), 143);
        assert_eq!(code(Cause::StartFailed, Some(Exit::Code(203))), 126);
        assert_eq!(code(Cause::TimeLimit, Some(Exit::Code(0))), 124);
    }

    #[test]
    fn a_crash_is_never_0() {
        assert_eq!(code(Cause::Watchdog, Some(Exit::Code(0))), 1);
        assert_eq!(code(Cause::GpuMemory, Some(Exit::Code(0))), 1);
        assert_eq!(code(Cause::Unknown, None), 1);
        assert_eq!(attempt_exit_code(None), 1);
    }
}
