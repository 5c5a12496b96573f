//! Queries of lists, and the pages of the answers.

use super::EntryState;
use crate::ExperimentId;
use crate::queue::{GroupName, QueuedRun};

/// Largest number of runs, events or minutes in one answer.
pub const PAGE_LEN: u32 = 1000;

/// A query of the queue; the default returns all runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct QueueQuery {
    /// Only runs of this experiment.
    #[cfg_attr(feature = "serde", serde(default))]
    pub experiment: Option<ExperimentId>,
    /// Only runs of this group.
    #[cfg_attr(feature = "serde", serde(default))]
    pub group: Option<GroupName>,
    /// Only runs in this state.
    #[cfg_attr(feature = "serde", serde(default))]
    pub state: Option<EntryState>,
    /// Number of runs at the front to leave out.
    #[cfg_attr(feature = "serde", serde(default))]
    pub skip: u32,
}

impl QueueQuery {
    /// Returns whether the answer includes a run, apart from the runs that it leaves out at the front.
    pub fn includes(&self, run: &QueuedRun) -> bool {
        let Self { experiment, group, state, skip: _ } = self;
        experiment.as_ref().is_none_or(|id| run.run.experiment == *id)
            && group.as_ref().is_none_or(|group| run.terms.group == *group)
            && state.is_none_or(|state| EntryState::from(&run.state) == state)
    }
}

/// A query of events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct EventQuery {
    /// Only events after this number.
    #[cfg_attr(feature = "serde", serde(default))]
    pub since: u64,
    /// Returns up to this number of events. An answer has up to 1000 events.
    #[cfg_attr(feature = "serde", serde(default))]
    pub at_most: Option<u32>,
}

impl EventQuery {
    /// Returns the largest number of events in the answer.
    pub fn limit(&self) -> usize {
        self.at_most.unwrap_or(PAGE_LEN).min(PAGE_LEN) as usize
    }
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The items of the page.
    pub items: Vec<T>,
    /// Length of the whole list.
    pub total: u32,
    /// The number of the newest event: pages with the same number are of the same list.
    pub seq: u64,
}
