//! What is asked of the ledger. The answers are the ledger's own values.

use bij_core::{ExperimentId, RunNumber};
use serde::{Deserialize, Serialize};

/// Which attempts; the default is all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttemptsQuery {
    /// Of one experiment.
    #[serde(default)]
    pub experiment: Option<ExperimentId>,
    /// Of one run.
    #[serde(default)]
    pub run: Option<RunNumber>,
    /// At most so many, the newest; the coordinator gives no more than 250 at once.
    #[serde(default)]
    pub newest: Option<u32>,
    /// Without so many of the newest.
    #[serde(default)]
    pub skip_newest: u32,
}

/// Whose history is added up; the default is that of every experiment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TalliesQuery {
    /// Of this experiment alone.
    #[serde(default)]
    pub experiment: Option<ExperimentId>,
    /// Of those behind this one; the coordinator gives no more than 250 at once.
    #[serde(default)]
    pub after: Option<ExperimentId>,
}

/// Which minutes of the board; the default is all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MinutesQuery {
    /// At most so many, the newest; the coordinator gives no more than 1000 at once.
    #[serde(default)]
    pub newest: Option<u32>,
    /// Without so many of the newest.
    #[serde(default)]
    pub skip_newest: u32,
}
