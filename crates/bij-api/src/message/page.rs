//! What is asked for of a list, and a piece of it.

use bij_core::ExperimentId;
use bij_core::queue::GroupName;
use serde::{Deserialize, Serialize};

use super::State;
use crate::PIECE;

/// Which runs of the queue; the default is all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueQuery {
    /// Of one experiment.
    #[serde(default)]
    pub experiment: Option<ExperimentId>,
    /// Of one group.
    #[serde(default)]
    pub group: Option<GroupName>,
    /// In one state.
    #[serde(default)]
    pub state: Option<State>,
    /// Without so many at the front.
    #[serde(default)]
    pub skip: u32,
}

/// Which events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventQuery {
    /// Those after this number.
    #[serde(default)]
    pub since: u64,
    /// At most so many; the coordinator gives no more than 1000 at once.
    #[serde(default)]
    pub at_most: Option<u32>,
}

impl EventQuery {
    /// Returns how many events the answer may have.
    pub fn limit(&self) -> usize {
        self.at_most.unwrap_or(PIECE).min(PIECE) as usize
    }
}

/// A piece of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The piece.
    pub items: Vec<T>,
    /// How many there are in all.
    pub total: u32,
    /// The number of the event after which it was so: pieces with the same number fit together.
    pub seq: u64,
}
