//! The arguments that several verbs have.

use std::env::VarError;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use bij_core::port::Problem;
use bij_core::queue::{Dependencies, Dependency, RunRef};
use bij_core::{ExperimentId, InvalidExperimentId};
use bij_definition::SpecOverlay;
use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use thiserror::Error;

use crate::complete;
use crate::error::{CliError, Kind};

/// The options that every verb accepts.
#[derive(Debug, Default, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(crate) struct Global {
    /// Print JSON for programs (docs/json.md)
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub(crate) json: bool,
    /// Print without colours; the variable `NO_COLOR` does the same
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub(crate) no_color: bool,
    /// Print no hints and no status lines
    #[arg(short, long, global = true, help_heading = "Everywhere")]
    pub(crate) quiet: bool,
    /// Use the calling user's own service manager, definitions and database
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub(crate) user: bool,
    /// Work without systemd: `run` supervises by itself; the default where systemd is not PID 1
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub(crate) local: bool,
    /// Put all paths below DIR; implies --local
    #[arg(long, global = true, value_name = "DIR", help_heading = "Everywhere")]
    pub(crate) root: Option<PathBuf>,
}

/// An experiment id, or the name of its unit with or without `.service`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdArg(pub(crate) ExperimentId);

impl FromStr for IdArg {
    type Err = InvalidExperimentId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let instance = match text.strip_prefix("brain-experiment@") {
            Some(unit) => unit.strip_suffix(".service").unwrap_or(unit),
            None => text,
        };
        ExperimentId::new(instance).map(Self)
    }
}

/// A run: `x#3`, or `x` (or the name of its unit) for the newest run of an experiment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunArg(pub(crate) RunRef);

/// The text is not the name of a run.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{found:?} is not a run: write amnesiac_001 for its newest, or amnesiac_001#3")]
pub(crate) struct InvalidRunArg {
    found: String,
}

impl FromStr for RunArg {
    type Err = InvalidRunArg;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidRunArg { found: text.chars().take(80).collect() };
        if text.contains('#') {
            return text.parse().map(Self).map_err(|_| invalid());
        }
        text.parse().map(|IdArg(id)| Self(RunRef::Newest(id))).map_err(|_| invalid())
    }
}

/// An experiment or a file, as it is given on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TargetArg {
    /// An experiment, by its id.
    Experiment(ExperimentId),
    /// A file with a definition.
    File(PathBuf),
}

impl FromStr for TargetArg {
    type Err = InvalidExperimentId;

    /// A text with a `/`, or with the ending of a definition file, is a file.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let ending = Path::new(text).extension().and_then(|ending| ending.to_str());
        if text.contains('/') || matches!(ending, Some("toml" | "json")) {
            return Ok(Self::File(PathBuf::from(text)));
        }
        text.parse().map(|IdArg(id)| Self::Experiment(id))
    }
}

/// What a command inherits from the shell in which it is typed.
#[derive(Debug, Default, Args)]
pub(crate) struct ShellArgs {
    /// Inherit nothing from this shell's environment, neither PATH nor an activated environment
    #[arg(long)]
    pub(crate) clean_env: bool,
}

/// The arguments of verbs that work on all experiments if none is given.
#[derive(Debug, Args)]
pub(crate) struct MaybeIdsArgs {
    /// Experiments; all if none is given
    #[arg(value_name = "ID", add = ArgValueCandidates::new(complete::ids))]
    pub(crate) ids: Vec<IdArg>,
}

/// The runs that have to end first.
#[derive(Debug, Default, Args)]
pub(crate) struct AfterArgs {
    /// Start after the success of all of these, separated by commas; `end:RUN` is any end of RUN
    #[arg(long, value_name = "RUN,…", value_delimiter = ',', add = ArgValueCandidates::new(complete::ids))]
    pub(crate) after: Vec<Dependency>,
    /// Start after the first of these, separated by commas
    #[arg(long, value_name = "RUN,…", value_delimiter = ',', add = ArgValueCandidates::new(complete::ids), conflicts_with = "after")]
    pub(crate) after_any: Vec<Dependency>,
}

impl AfterArgs {
    /// Returns the dependencies; `None` if neither option is given.
    pub(crate) fn dependencies(&self) -> Option<Dependencies> {
        match (self.after.as_slice(), self.after_any.as_slice()) {
            ([], []) => None,
            ([], any) => Some(Dependencies::Any(any.to_vec())),
            (all, _) => Some(Dependencies::All(all.to_vec())),
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_named_by_id_unit_or_number() {
        for (text, run) in
            [("x", "x"), ("brain-experiment@x.service", "x"), ("x#3", "x#3"), ("x.1#12", "x.1#12")]
        {
            let RunArg(read) = text.parse().unwrap();
            assert_eq!(read.to_string(), run, "{text}");
        }
        for bad in ["", "#3", "x#0", "x#", "x#a", "../x#1", "x#1#2"] {
            assert!(bad.parse::<RunArg>().is_err(), "{bad:?}");
        }
    }
}
