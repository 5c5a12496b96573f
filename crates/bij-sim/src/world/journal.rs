//! The ends of attempts that PID 1 has logged although their hook was killed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bij_core::{Evidence, InvocationId, Timestamp, Witness};

use super::hooks::evidence_from;
use crate::SimEnding;

/// A journal in memory; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct SimJournal(Arc<Mutex<BTreeMap<InvocationId, (Timestamp, SimEnding)>>>);

impl SimJournal {
    pub(super) fn record(&self, invocation: InvocationId, at: Timestamp, ending: SimEnding) {
        self.entries().insert(invocation, (at, ending));
    }

    pub(super) fn lose_all(&self) {
        self.entries().clear();
    }

    /// Returns when and how an attempt ended, if that was logged.
    pub(super) fn find_end_of(&self, invocation: InvocationId) -> Option<(Timestamp, Evidence)> {
        let (at, ending) = self.entries().get(&invocation).copied()?;
        Some((at, evidence_from(ending, Witness::Journal)))
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<InvocationId, (Timestamp, SimEnding)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
