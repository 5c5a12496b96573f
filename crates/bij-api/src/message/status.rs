//! How the coordinator is.

use std::collections::BTreeMap;

use bij_core::{Bytes, ExperimentId, Timestamp};
use serde::{Deserialize, Serialize};

/// How the coordinator is, and what is in its queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoordinatorStatus {
    /// Its version.
    pub version: String,
    /// Since when it runs.
    pub since: Timestamp,
    /// The number of the newest event.
    pub seq: u64,
    /// How many runs wait.
    pub waiting: u32,
    /// How many are held.
    pub held: u32,
    /// How many are up.
    pub running: u32,
    /// How many may be up: `MAX_CONCURRENT_EXPERIMENTS`.
    #[serde(default)]
    pub slots: Option<u32>,
    /// How much memory those that are up may claim: `TOTAL_RAM_LIMIT_GB`.
    #[serde(default)]
    pub memory_budget: Option<Bytes>,
    /// How much of it they claim.
    pub memory_claimed: Bytes,
    /// What each experiment that is up has of the GPU's memory, where that is the machine's own. A client
    /// that finds neither this nor `gpu_memory_why` talks about a machine whose GPU has its own.
    #[serde(default)]
    pub gpu_memory: Option<BTreeMap<ExperimentId, Bytes>>,
    /// Why that is not known.
    #[serde(default)]
    pub gpu_memory_why: Option<String>,
    /// Who has paused all admission, if anybody.
    #[serde(default)]
    pub paused_by: Option<String>,
    /// Since when it is paused.
    #[serde(default)]
    pub paused_since: Option<Timestamp>,
    /// What does not work at the moment, as sentences: the bus is lost, the disk is full, …
    #[serde(default)]
    pub troubles: Vec<String>,
}
