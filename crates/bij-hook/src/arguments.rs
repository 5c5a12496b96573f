//! The command line of `bij-hook`.

use std::ffi::OsString;
use std::path::PathBuf;

use bij_core::{ExperimentId, InvalidExperimentId};
use lexopt::prelude::*;
use thiserror::Error;

use crate::LoggedUnit;

/// One call of `bij-hook`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookArguments {
    /// The hook to run.
    pub verb: Verb,
    /// Whether a user's manager calls (`--user`), not the system's.
    pub user: bool,
    /// The tree of all paths: `/`, or the value of `--root`.
    pub root: PathBuf,
}

/// The hook to run, and its experiment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `ExecCondition=`: decides whether the unit may start now; if so, opens the attempt.
    Start(ExperimentId),
    /// `ExecStartPre=` of a unit without a condition: opens the attempt.
    Begin(ExperimentId),
    /// `ExecStop=`: records which processes the main process has left behind.
    Leftovers(ExperimentId),
    /// `ExecStopPost=`: closes the attempt.
    End(ExperimentId),
    /// The template's own `ExecStart=`: says why there is nothing to run.
    Refuse(ExperimentId),
    /// At boot: closes the open attempts of other boots.
    Boot,
    /// At shutdown: records that this boot ended cleanly.
    Shutdown,
}

/// Why the arguments are not a valid call.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ArgumentsError {
    /// An option is unknown or lacks its value.
    #[error("{0}; {USAGE}")]
    Option(#[from] lexopt::Error),
    /// The words are not a known call.
    #[error("{USAGE}")]
    Verb,
    /// The instance name of the unit is not an experiment id.
    #[error("the unit's instance names no experiment")]
    Id(#[source] InvalidExperimentId),
}

const USAGE: &str = "usage: bij-hook [--user] [--root DIR] start|begin|leftovers|end|refuse ID, or \
     bij-hook [--user] [--root DIR] boot|shutdown";

impl HookArguments {
    /// Returns the unit that called, if it is an experiment's.
    pub fn unit(&self) -> Option<LoggedUnit> {
        let (Verb::Start(id)
        | Verb::Begin(id)
        | Verb::Leftovers(id)
        | Verb::End(id)
        | Verb::Refuse(id)) = &self.verb
        else {
            return None;
        };
        Some(LoggedUnit { experiment: id.clone(), user: self.user })
    }

    /// Reads the arguments after the program's name.
    ///
    /// # Errors
    /// [`ArgumentsError`] if they are not a valid call.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, ArgumentsError> {
        let (mut user, mut root, mut words) = (false, PathBuf::from("/"), Vec::new());
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            match argument {
                Long("user") => user = true,
                Long("root") => root = parser.value()?.into(),
                Value(word) => words.push(word.string()?),
                other => return Err(other.unexpected().into()),
            }
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let id = |text| ExperimentId::new(text).map_err(ArgumentsError::Id);
        let verb = match words[..] {
            ["start", text] => Verb::Start(id(text)?),
            ["begin", text] => Verb::Begin(id(text)?),
            ["leftovers", text] => Verb::Leftovers(id(text)?),
            ["end", text] => Verb::End(id(text)?),
            ["refuse", text] => Verb::Refuse(id(text)?),
            ["boot"] => Verb::Boot,
            ["shutdown"] => Verb::Shutdown,
            _ => return Err(ArgumentsError::Verb),
        };
        Ok(Self { verb, user, root })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<HookArguments, ArgumentsError> {
        HookArguments::parse(line.split(' ').map(OsString::from))
    }

    #[test]
    fn the_calls_of_the_units_are_read() {
        let id = ExperimentId::new("a.b-c_d").unwrap();
        let call = parse("begin --user a.b-c_d").unwrap();
        assert_eq!((call.verb, call.user), (Verb::Begin(id), true));
        let call = parse("--root /tmp/tree boot").unwrap();
        assert_eq!((call.verb, call.root), (Verb::Boot, PathBuf::from("/tmp/tree")));
    }

    #[test]
    fn invalid_calls_are_refused_before_they_reach_a_path() {
        for bad in ["", "begin", "begin a b", "boot a", "stop a"] {
            assert!(matches!(parse(bad), Err(ArgumentsError::Verb)), "{bad}");
        }
        for bad in ["boot --root", "boot --usr", "begin -x"] {
            assert!(matches!(parse(bad), Err(ArgumentsError::Option(_))), "{bad}");
        }
        for bad in ["begin ../x", "end %i", "leftovers /", "start a%i", "refuse "] {
            assert!(matches!(parse(bad), Err(ArgumentsError::Id(_))), "{bad}");
        }
    }
}
