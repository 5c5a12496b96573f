//! What is told of the GPU's memory, and what becomes of those that had too much of it.

use std::collections::BTreeMap;

use bij_core::port::{AttemptQuery, DefinitionSource, Ledger, LedgerError};
use bij_core::{Bytes, ExperimentId, RunId, StartLimit, TimeSpan};

use super::Coordinator;
use crate::policy::GpuUse;
use crate::{Now, Ports};

impl<P: Ports> Coordinator<P> {
    /// So much of the GPU's memory experiments have, on a board where it is the machine's own, or why
    /// that cannot be told; one that is not named has none. To be told every few seconds while something
    /// runs.
    pub fn gpu_memory(&mut self, told: Result<BTreeMap<ExperimentId, Bytes>, String>, now: Now) {
        self.seen.now = now;
        self.gpu_memory = Some(told.clone());
        // What was read before is no reason to stop anybody now.
        let used = told.unwrap_or_default();
        for id in used.keys() {
            self.know_traits(id);
        }
        let total = self.memory_total();
        let limit_of = |id: &ExperimentId| self.traits.get(id)?.gpu_memory?.resolve(total).at();
        let limited = used.into_iter().filter_map(|(id, used)| {
            let limit = limit_of(&id)?;
            Some((id, GpuUse { used, limit }))
        });
        let limited: BTreeMap<ExperimentId, GpuUse> = limited.collect();
        let any_over = limited.values().any(|GpuUse { used, limit }| used > limit);
        self.seen.gpu_memory = limited;
        self.undecided |= any_over || !self.state.over_gpu_memory.is_empty();
    }

    /// What was told of those that are up, if their GPU shares the machine's memory.
    pub(super) fn gpu_memory_of_those_up(
        &self,
    ) -> Option<Result<BTreeMap<ExperimentId, Bytes>, String>> {
        if !self.seen.sample.shared_with_gpu {
            return None;
        }
        let Some(told) = &self.gpu_memory else {
            return Some(Err("nobody has looked yet".to_owned()));
        };
        let up = self.seen.units.keys().filter(|id| self.seen.is_up(id));
        let used = |used: &BTreeMap<ExperimentId, Bytes>| {
            up.map(|id| (id.clone(), used.get(id).copied().unwrap_or_default())).collect()
        };
        Some(told.as_ref().map(used).map_err(Clone::clone))
    }

    /// After which delay a run may be restarted, as its definition says now: as often as systemd would
    /// restart it. Without a definition nothing can.
    pub(super) fn restart_after(&self, run: &RunId) -> Result<Option<TimeSpan>, LedgerError> {
        let Ok(found) = self.adapters.definitions.find(&run.experiment) else { return Ok(None) };
        let restart = &found.spec.restart;
        let query = AttemptQuery {
            experiment: Some(run.experiment.clone()),
            run: Some(run.number),
            ..AttemptQuery::default()
        };
        let (boot, now) = (self.state.boot, self.seen.now);
        let attempts = self.adapters.store.attempts(&query)?;
        let ages = attempts
            .iter()
            .filter(|attempt| attempt.key.boot == boot)
            .filter_map(|attempt| attempt.started_ago(boot, Some(now.uptime), now.at))
            .map(|age| age.saturating_add(restart.delay));
        Ok(StartLimit::from(restart).allows(ages).then_some(restart.delay))
    }
}
