//! Reports of the GPU's memory use, and restarts after a stop because of it.

use std::collections::BTreeMap;

use bij_core::port::{AttemptQuery, DefinitionSource, Ledger, LedgerError};
use bij_core::{Bytes, ExperimentId, RunId, StartLimit, TimeSpan};

use super::Coordinator;
use crate::policy::GpuUse;
use crate::{Now, Ports};

impl<P: Ports> Coordinator<P> {
    /// Takes a report of the GPU's memory that experiments use, on a board where it is part of the machine's
    /// memory, or why it could not be read. An experiment without an entry uses none. A report is due every
    /// few seconds while an experiment is up.
    pub fn gpu_memory(
        &mut self,
        reported: Result<BTreeMap<ExperimentId, Bytes>, String>,
        now: Now,
    ) {
        self.seen.now = now;
        self.gpu_memory = Some(reported.clone());
        // An outdated reading must not stop an experiment.
        let used = reported.unwrap_or_default();
        for id in used.keys() {
            self.refresh_running_settings(id);
        }
        let total = self.memory_total();
        let limit_of =
            |id: &ExperimentId| self.running_settings.get(id)?.gpu_memory?.resolve(total).at();
        let limited = used.into_iter().filter_map(|(id, used)| {
            let limit = limit_of(&id)?;
            Some((id, GpuUse { used, limit }))
        });
        let limited: BTreeMap<ExperimentId, GpuUse> = limited.collect();
        let any_over = limited.values().any(|GpuUse { used, limit }| used > limit);
        self.seen.gpu_memory = limited;
        self.undecided |= any_over || !self.state.over_gpu_memory.is_empty();
    }

    /// Returns the last report for the experiments that are up, if the GPU shares the machine's memory.
    pub(super) fn reported_gpu_memory(
        &self,
    ) -> Option<Result<BTreeMap<ExperimentId, Bytes>, String>> {
        if !self.seen.sample.shared_with_gpu {
            return None;
        }
        let Some(reported) = &self.gpu_memory else {
            return Some(Err("it has not been read yet".to_owned()));
        };
        let up = self.seen.units.keys().filter(|id| self.seen.is_up(id));
        let used = |used: &BTreeMap<ExperimentId, Bytes>| {
            up.map(|id| (id.clone(), used.get(id).copied().unwrap_or_default())).collect()
        };
        Some(reported.as_ref().map(used).map_err(Clone::clone))
    }

    /// Returns the delay after which a run may be restarted, by the definition and the start limit that
    /// systemd would apply; `None` if it may not, or has no usable definition.
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
        let limit = StartLimit::from(restart);
        let is_allowed =
            limit.allows_after(restart.delay, &attempts, boot, Some(now.uptime), now.at);
        Ok(is_allowed.then_some(restart.delay))
    }
}
