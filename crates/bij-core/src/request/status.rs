//! The status of the coordinator.

use std::collections::BTreeMap;

use crate::{Bytes, ExperimentId, Timestamp};

/// The status of the coordinator, and a summary of its queue.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CoordinatorStatus {
    /// The version of the coordinator.
    pub version: String,
    /// When it was started.
    pub since: Timestamp,
    /// The number of the newest event.
    pub seq: u64,
    /// Number of waiting runs.
    pub waiting: u32,
    /// Number of held runs.
    pub held: u32,
    /// Number of active runs.
    pub running: u32,
    /// Largest number of active runs: `MAX_CONCURRENT_EXPERIMENTS`.
    #[cfg_attr(feature = "serde", serde(default))]
    pub slots: Option<u32>,
    /// Largest memory that active runs may claim together: `TOTAL_RAM_LIMIT_GB`.
    #[cfg_attr(feature = "serde", serde(default))]
    pub memory_budget: Option<Bytes>,
    /// The memory that active runs claim.
    pub memory_claimed: Bytes,
    /// GPU memory of each active experiment, if the GPU shares the machine's memory. Without this and `gpu_memory_why`,
    /// the GPU has its own memory.
    #[cfg_attr(feature = "serde", serde(default))]
    pub gpu_memory: Option<BTreeMap<ExperimentId, Bytes>>,
    /// Why `gpu_memory` is unknown.
    #[cfg_attr(feature = "serde", serde(default))]
    pub gpu_memory_why: Option<String>,
    /// The user who has paused all admission.
    #[cfg_attr(feature = "serde", serde(default))]
    pub paused_by: Option<String>,
    /// Since when all admission is paused.
    #[cfg_attr(feature = "serde", serde(default))]
    pub paused_since: Option<Timestamp>,
    /// Current troubles, as sentences: the bus is lost, the disk is full, …
    #[cfg_attr(feature = "serde", serde(default))]
    pub troubles: Vec<String>,
}
