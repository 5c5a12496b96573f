//! Definitions of experiments in memory, and the files between a coordinator and the hooks.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bij_core::port::{
    Closing, DefinitionSource, FindError, FoundDefinition, Handover, HandoverError,
};
use bij_core::spec::ExperimentSpec;
use bij_core::{Attempt, Evidence, ExperimentId, Order, Progress, Timestamp, Witness};

use super::hooks::SimJournal;

/// A source of definitions in memory; clones share it.
#[derive(Clone, Debug, Default)]
pub struct SimDefinitions(Arc<Mutex<BTreeMap<ExperimentId, ExperimentSpec>>>);

impl SimDefinitions {
    /// Defines an experiment, or changes its definition.
    pub fn define(&self, spec: ExperimentSpec) {
        self.specs().insert(spec.id.clone(), spec);
    }

    /// Removes a definition.
    pub fn remove(&self, id: &ExperimentId) {
        self.specs().remove(id);
    }

    fn specs(&self) -> MutexGuard<'_, BTreeMap<ExperimentId, ExperimentSpec>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DefinitionSource for SimDefinitions {
    fn find(&self, id: &ExperimentId) -> Result<FoundDefinition, FindError> {
        match self.specs().get(id) {
            Some(spec) => Ok(FoundDefinition {
                spec: spec.clone(),
                source: format!("{id}.toml"),
                stamp: "0000000000000000".to_owned(),
                warnings: Vec::new(),
            }),
            None => Err(FindError::Missing { id: id.clone(), looked_for: Vec::new() }),
        }
    }

    fn ids(&self) -> Result<Vec<ExperimentId>, FindError> {
        Ok(self.specs().keys().cloned().collect())
    }

    fn fingerprint(&self, id: &ExperimentId) -> u64 {
        let mut hasher = DefaultHasher::new();
        format!("{:?}", self.specs().get(id)).hash(&mut hasher);
        hasher.finish()
    }
}

/// The files between a coordinator and the hooks, in memory; clones share them.
#[derive(Clone, Debug, Default)]
pub struct SimHandover {
    runtime: Arc<Mutex<Runtime>>,
    journal: SimJournal,
}

#[derive(Debug, Default)]
struct Runtime {
    extras: BTreeMap<ExperimentId, String>,
    orders: BTreeMap<ExperimentId, Order>,
    progress: BTreeMap<ExperimentId, Progress>,
}

impl SimHandover {
    /// Returns empty files beside a journal, from which ends are recovered.
    pub(super) fn with_journal(journal: SimJournal) -> Self {
        Self { journal, ..Self::default() }
    }

    /// Returns the overlay of an experiment's definition.
    pub fn extras_for(&self, id: &ExperimentId) -> String {
        self.runtime().extras.get(id).cloned().unwrap_or_default()
    }

    /// Sets the progress that an experiment reports.
    pub fn set_progress(&self, id: &ExperimentId, progress: Progress) {
        self.runtime().progress.insert(id.clone(), progress);
    }

    /// Removes the stop order of an experiment: a new attempt begins.
    pub fn clear_order(&self, id: &ExperimentId) {
        self.runtime().orders.remove(id);
    }

    /// Removes the overlay of a definition: its run has ended.
    pub fn clear_extras(&self, id: &ExperimentId) {
        self.runtime().extras.remove(id);
    }

    /// Clears the runtime directory, as a boot does; overlays stay.
    pub fn lose_all(&self) {
        let mut runtime = self.runtime();
        let extras = std::mem::take(&mut runtime.extras);
        *runtime = Runtime { extras, ..Runtime::default() };
    }

    fn runtime(&self) -> MutexGuard<'_, Runtime> {
        self.runtime.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handover for SimHandover {
    fn extras(&self, id: &ExperimentId, extras: &str) -> Result<(), HandoverError> {
        self.runtime().extras.insert(id.clone(), extras.to_owned());
        Ok(())
    }

    fn stop(&self, id: &ExperimentId, order: &Order) -> Result<(), HandoverError> {
        self.runtime().orders.insert(id.clone(), order.clone());
        Ok(())
    }

    fn order(&self, id: &ExperimentId) -> Option<Order> {
        self.runtime().orders.get(id).cloned()
    }

    fn progress(&self, id: &ExperimentId) -> Option<Progress> {
        self.runtime().progress.get(id).cloned()
    }

    fn find_end(&self, attempt: &Attempt, now: Timestamp) -> Option<Closing> {
        let recorded = self.journal.find_end_of(attempt.key.invocation);
        let (at, mut evidence) = recorded.unwrap_or_else(|| (now, Evidence::default()));
        evidence.witness.get_or_insert(Witness::Coordinator);
        evidence.order = self.order(&attempt.run.experiment);
        Some(Closing::from_evidence(attempt, at, None, evidence))
    }
}
