//! Writes the entries of listings.

use std::sync::Arc;

use bij_core::queue::{QueuedRun, WaitingOn};
use bij_core::request::{QueueEntry, WaitReason};
use bij_definition::SpecOverlay;

/// Writes the entries of many runs in a row. Consecutive runs with equal gates share one list of reasons.
#[derive(Default)]
pub(crate) struct EntryWriter {
    /// Gates of the last run.
    waiting_on: Arc<[WaitingOn]>,
    /// The same gates as reasons.
    reasons: Arc<[WaitReason]>,
}

impl EntryWriter {
    /// Returns the entry of a run with these closed gates.
    pub(crate) fn entry(&mut self, run: &QueuedRun, waiting_on: &Arc<[WaitingOn]>) -> QueueEntry {
        if *waiting_on != self.waiting_on {
            let gates = waiting_on.iter().enumerate();
            self.reasons = gates.map(|(at, waiting)| self.reason(at, waiting)).collect();
            self.waiting_on = Arc::clone(waiting_on);
        }
        QueueEntry::new(run, SpecOverlay::without_values, Arc::clone(&self.reasons))
    }

    /// Returns a gate as a reason. If the last run has the same gate, only the time is new.
    fn reason(&self, at: usize, waiting: &WaitingOn) -> WaitReason {
        match (self.waiting_on.get(at), self.reasons.get(at)) {
            (Some(last), Some(reason)) if last.gate == waiting.gate => {
                WaitReason { since: waiting.since, ..reason.clone() }
            }
            _ => WaitReason::from(waiting),
        }
    }
}
