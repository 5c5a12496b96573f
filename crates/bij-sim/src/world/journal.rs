//! What PID 1 has told of ends whose hook was killed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bij_core::{Evidence, InvocationId, Timestamp, Witness};

use super::hooks::told_of;
use crate::Ending;

/// A journal in memory; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct SimJournal(Arc<Mutex<BTreeMap<InvocationId, (Timestamp, Ending)>>>);

impl SimJournal {
    pub(super) fn tell(&self, invocation: InvocationId, at: Timestamp, ending: Ending) {
        self.told().insert(invocation, (at, ending));
    }

    pub(super) fn lose_all(&self) {
        self.told().clear();
    }

    /// When and how a life ended, if that was told.
    pub(super) fn end_of(&self, invocation: InvocationId) -> Option<(Timestamp, Evidence)> {
        let (at, ending) = self.told().get(&invocation).copied()?;
        Some((at, told_of(ending, Witness::Journal)))
    }

    fn told(&self) -> MutexGuard<'_, BTreeMap<InvocationId, (Timestamp, Ending)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
