//! What a verb works on: an experiment by its id, or a file.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use bij_core::{ExperimentId, InvalidExperimentId};

use super::IdArg;

/// An experiment or a file, as it is given on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A defined experiment.
    Experiment(ExperimentId),
    /// A file with a definition.
    File(PathBuf),
}

impl FromStr for Target {
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
