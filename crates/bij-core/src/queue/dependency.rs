//! Dependencies of a run on other runs.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::{ExperimentId, RunId};

/// All dependencies of a run on other runs; the default is none.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Dependencies {
    /// All of these must be met.
    All(Vec<Dependency>),
    /// At least one of these must be met.
    Any(Vec<Dependency>),
}

impl Dependencies {
    /// Returns an iterator over the dependencies.
    pub fn iter(&self) -> impl Iterator<Item = &Dependency> {
        match self {
            Self::All(list) | Self::Any(list) => list.iter(),
        }
    }
}

impl Default for Dependencies {
    fn default() -> Self {
        Self::All(Vec::new())
    }
}

/// A dependency on another run, written `calibrate`, `calibrate#3` or `end:calibrate`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "String", into = "String"))]
pub struct Dependency {
    /// The end that the other run must have.
    pub condition: Condition,
    /// The other run.
    pub on: RunRef,
}

/// The end that another run must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// The run ended with success.
    Success,
    /// The run ended in any way.
    End,
}

/// A reference to a run: a certain run, or the newest run of an experiment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RunRef {
    /// The newest run of an experiment.
    Newest(ExperimentId),
    /// The run with this id.
    Run(RunId),
}

impl RunRef {
    /// Returns the experiment of the run.
    pub const fn experiment(&self) -> &ExperimentId {
        match self {
            Self::Newest(id) => id,
            Self::Run(run) => &run.experiment,
        }
    }
}

/// The error for a text that is not a dependency.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{found:?} is not a dependency: write calibrate (its success), calibrate#3 (that run's) or end:calibrate (its end, however)"
)]
pub struct InvalidDependency {
    /// What was found, cut to 80 characters.
    pub found: String,
}

const END: &str = "end:";

impl fmt::Display for RunRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest(id) => id.fmt(f),
            Self::Run(run) => run.fmt(f),
        }
    }
}

impl FromStr for RunRef {
    type Err = InvalidDependency;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidDependency { found: text.chars().take(80).collect() };
        if text.contains('#') {
            text.parse().map(Self::Run).map_err(|_| invalid())
        } else {
            text.parse().map(Self::Newest).map_err(|_| invalid())
        }
    }
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.condition {
            Condition::Success => self.on.fmt(f),
            Condition::End => write!(f, "{END}{}", self.on),
        }
    }
}

impl FromStr for Dependency {
    type Err = InvalidDependency;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (condition, run) = match text.strip_prefix(END) {
            Some(run) => (Condition::End, run),
            None => (Condition::Success, text),
        };
        Ok(Self { condition, on: run.parse()? })
    }
}

impl TryFrom<String> for Dependency {
    type Error = InvalidDependency;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Dependency> for String {
    fn from(dependency: Dependency) -> Self {
        dependency.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_dependency_parses_back_the_same() {
        for text in ["calibrate", "calibrate#3", "end:calibrate", "end:calibrate#12"] {
            assert_eq!(text.parse::<Dependency>().unwrap().to_string(), text);
        }
        for bad in ["", "end:", "begin:x", "x#0", "../x", "x#", "end:end:x"] {
            assert!(bad.parse::<Dependency>().is_err(), "{bad:?}");
        }
    }
}
