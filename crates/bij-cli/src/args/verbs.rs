//! The arguments of each verb.

use std::env::VarError;
use std::path::PathBuf;

use bij_core::port::Problem;
use bij_definition::SpecOverlay;
use clap::Args;
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter};

use super::{IdArg, Target, help};
use crate::complete;
use crate::error::{CliError, Kind};

/// Options that add to a definition.
#[derive(Debug, Default, Args)]
pub(crate) struct Overlay {
    /// Set a limit: memory, swap, cpu, cpus, tasks or time, written as in a definition
    #[arg(long = "limit", value_name = "KEY=VALUE", value_parser = check_limit)]
    limits: Vec<String>,
    /// Set a variable of the experiment's environment; without =VALUE to its value in this shell
    #[arg(short = 'E', long = "setenv", value_name = "NAME[=VALUE]", value_parser = check_variable)]
    environment: Vec<String>,
}

/// Returns the assignment if it sets a limit.
fn check_limit(assignment: &str) -> Result<String, String> {
    check_addition(assignment, |overlay| overlay.add_limit(assignment))
}

/// Returns the assignment, with the value of this process where none is given, if it sets a variable.
fn check_variable(text: &str) -> Result<String, String> {
    let assignment = if text.contains('=') {
        text.to_owned()
    } else {
        let value = std::env::var(text).map_err(|error| match error {
            VarError::NotPresent => {
                format!("{text} is not set here\n  hint: -E {text}=VALUE sets it")
            }
            VarError::NotUnicode(_) => format!("the value of {text} is not UTF-8"),
        })?;
        format!("{text}={value}")
    };
    check_addition(&assignment, |overlay| overlay.add_environment(&assignment))
}

fn check_addition(
    assignment: &str,
    add: impl FnOnce(&mut SpecOverlay) -> Result<(), Problem>,
) -> Result<String, String> {
    match add(&mut SpecOverlay::default()) {
        Ok(()) => Ok(assignment.to_owned()),
        Err(Problem { message, hint: None, .. }) => Err(message),
        Err(Problem { message, hint: Some(hint), .. }) => Err(format!("{message}\n  hint: {hint}")),
    }
}

impl Overlay {
    /// Returns the additions as an overlay of a definition.
    pub(crate) fn spec(&self) -> Result<SpecOverlay, CliError> {
        let mut overlay = SpecOverlay::default();
        // Each was checked when it was parsed.
        let limits = self.limits.iter().try_for_each(|limit| overlay.add_limit(limit));
        let all = limits.and_then(|()| {
            self.environment.iter().try_for_each(|name| overlay.add_environment(name))
        });
        all.map_err(|problem| CliError::new(Kind::Usage, problem.to_string()))?;
        Ok(overlay)
    }
}

/// What a command inherits from the shell in which it is typed.
#[derive(Debug, Default, Args)]
pub(crate) struct ShellArgs {
    /// Inherit nothing from this shell's environment, neither PATH nor an activated environment
    #[arg(long)]
    pub(crate) clean_env: bool,
}

/// The arguments of `bij run`.
#[derive(Debug, Args)]
#[command(after_help = help::RUN)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) overlay: Overlay,
    /// The id of the experiment that a command or a file becomes
    #[arg(long, value_name = "ID")]
    pub(crate) name: Option<IdArg>,
    #[command(flatten)]
    pub(crate) shell: ShellArgs,
    /// Experiments, or files with definitions
    #[arg(value_name = "TARGET", required_unless_present = "command", add = ArgValueCompleter::new(complete::targets))]
    pub(crate) targets: Vec<Target>,
    /// A command to run as an experiment
    #[arg(last = true, value_name = "COMMAND", conflicts_with = "targets")]
    pub(crate) command: Vec<String>,
}

/// The arguments of `bij start`.
#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    /// The experiment to start
    #[arg(value_name = "ID", add = ArgValueCandidates::new(complete::ids))]
    pub(crate) id: IdArg,
    /// A configuration file for the experiment in this run
    #[arg(value_name = "CONFIG")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) overlay: Overlay,
    /// Do not wait for gates such as memory or heat
    #[arg(long)]
    pub(crate) now: bool,
}

/// The arguments of verbs that take at least one experiment.
#[derive(Debug, Args)]
pub(crate) struct IdsArgs {
    /// Experiments
    #[arg(value_name = "ID", required = true, add = ArgValueCandidates::new(complete::ids))]
    pub(crate) ids: Vec<IdArg>,
}

/// The arguments of verbs that work on all experiments if none is given.
#[derive(Debug, Args)]
pub(crate) struct MaybeIdsArgs {
    /// Experiments; all if none is given
    #[arg(value_name = "ID", add = ArgValueCandidates::new(complete::ids))]
    pub(crate) ids: Vec<IdArg>,
}

/// The arguments of `bij enable` and `bij disable`.
#[derive(Debug, Args)]
pub(crate) struct EnableArgs {
    /// Experiments
    #[arg(value_name = "ID", required = true, add = ArgValueCandidates::new(complete::ids))]
    pub(crate) ids: Vec<IdArg>,
    /// Start or stop them now as well
    #[arg(long)]
    pub(crate) now: bool,
}

/// The arguments of `bij show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Experiments; all if none is given
    #[arg(value_name = "ID", add = ArgValueCandidates::new(complete::ids))]
    pub(crate) ids: Vec<IdArg>,
    /// Show these keys only, separated by commas
    #[arg(short, long = "property", value_name = "KEY", value_delimiter = ',')]
    pub(crate) properties: Vec<String>,
    /// Print values without their keys
    #[arg(long)]
    pub(crate) value: bool,
}

/// The arguments of `bij history`.
#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// Experiments; all if none is given
    #[arg(value_name = "ID", add = ArgValueCandidates::new(complete::ids))]
    pub(crate) ids: Vec<IdArg>,
    /// Show the newest N attempts only
    #[arg(short = 'n', long = "lines", value_name = "N")]
    pub(crate) newest: Option<usize>,
    /// Show one run only
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) run: Option<u32>,
}

/// The arguments of `bij logs`.
#[derive(Debug, Args)]
#[command(after_help = help::LOGS)]
pub(crate) struct LogsArgs {
    /// Experiments; all if none is given
    #[arg(value_name = "ID", add = ArgValueCandidates::new(complete::ids))]
    pub(crate) ids: Vec<IdArg>,
    /// Continue with new lines as they are written
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Show the newest N lines only
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) lines: Option<usize>,
    /// Show lines from this time on
    #[arg(short = 'S', long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) since: Option<String>,
    /// Show lines up to this time
    #[arg(short = 'U', long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) until: Option<String>,
    /// Show one attempt of the newest run, or of the run given by --run
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) attempt: Option<u32>,
    /// Show one run only
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) run: Option<u32>,
    /// Show lines that match a regular expression; without capitals in it, case is ignored
    #[arg(short, long, value_name = "PATTERN")]
    pub(crate) grep: Option<String>,
}

/// The arguments of `bij board`.
#[derive(Debug, Args)]
#[command(after_help = help::BOARD)]
pub(crate) struct BoardArgs {
    /// Read again each second; in a pipe or with --json, print one JSON object per line
    #[arg(short, long)]
    pub(crate) watch: bool,
    /// Show the newest N minutes that were recorded while an experiment ran
    #[arg(long, value_name = "N", conflicts_with = "watch")]
    pub(crate) minutes: Option<usize>,
    /// Show the newest N samples of the last hour, which the coordinator keeps in memory
    #[arg(long, value_name = "N", conflicts_with_all = ["watch", "minutes"])]
    pub(crate) samples: Option<usize>,
}

/// The arguments of `bij check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Files or experiments; all experiments if none is given
    #[arg(value_name = "FILE|ID", add = ArgValueCompleter::new(complete::targets))]
    pub(crate) targets: Vec<Target>,
}
