//! The name of an experiment on the command line.

use std::str::FromStr;

use bij_core::{ExperimentId, InvalidExperimentId};

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
