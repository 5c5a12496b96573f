//! The name of a run on the command line.

use std::str::FromStr;

use bij_core::queue::RunRef;
use thiserror::Error;

use super::IdArg;

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
