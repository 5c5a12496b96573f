//! Takes reports about the board: the GPU's memory, power modes and clocks; and new settings.

use std::collections::BTreeMap;

use bij_core::port::DefinitionError;
use bij_core::queue::EventKind;
use bij_core::{Bytes, CoordinatorSettings, ExperimentId};

use super::Coordinator;
use crate::policy::{GpuUse, PowerModeStatus, PowerTarget};
use crate::{Now, Ports, terms};

/// Result of a switch of the power mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PowerSwitchOutcome {
    /// Mode that was switched to.
    pub mode: u32,
    /// What happened, as a fragment for people.
    pub text: String,
    /// Requester; `None` if the switch was for a run.
    pub by: Option<String>,
}

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
        let total = terms::memory_total(&self.seen.sample);
        let limit_of =
            |id: &ExperimentId| self.running_settings.get(id)?.gpu_memory?.resolve(total).at();
        let limited = used.into_iter().filter_map(|(id, used)| {
            let limit = limit_of(&id)?;
            Some((id, GpuUse { used, limit }))
        });
        let limited: BTreeMap<ExperimentId, GpuUse> = limited.collect();
        let any_over = limited.values().any(|GpuUse { used, limit }| used > limit);
        self.seen.gpu_memory = limited;
        if any_over || !self.state.over_gpu_memory.is_empty() {
            self.outdated.only_decision();
        }
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

    /// Returns the power mode and clocks that the board should have.
    pub fn power_target(&self) -> PowerTarget {
        self.state.last.as_ref().map(|report| report.power_target.clone()).unwrap_or_default()
    }

    /// Takes a report of the board's power modes, with the result of a switch if there was one.
    pub fn power(&mut self, power: PowerModeStatus, outcome: Option<PowerSwitchOutcome>, now: Now) {
        self.seen.now = now;
        if let Some(PowerSwitchOutcome { mode, text, by }) = outcome {
            let (kind, mode) = (EventKind::PowerMode, mode.to_string());
            match by {
                None => self.note(kind, None, [("mode", mode), ("text", text)]),
                Some(by) => self.note(kind, None, [("mode", mode), ("text", text), ("by", by)]),
            }
        }
        if power != self.seen.power {
            self.seen.power = power;
            self.outdated.decision();
        }
    }

    /// Records that the board's clocks are held at their maximum, or released, or that this failed, as `text`
    /// says.
    pub fn clocks(&mut self, text: String, now: Now) {
        self.seen.now = now;
        self.note(EventKind::Clocks, None, [("text", text)]);
    }

    /// Applies settings that were read again. If reading failed, the old ones stay in force, and the event
    /// names the error in the file.
    pub fn reload(
        &mut self,
        read: Result<CoordinatorSettings, &DefinitionError>,
        by: &str,
        now: Now,
    ) {
        self.seen.now = now;
        let by = ("by", by.to_owned());
        match read {
            Ok(settings) => {
                self.state.settings = settings;
                // The new interval counts from now.
                self.health_due = now.uptime;
                self.outdated.decision();
                self.note(EventKind::Reloaded, None, [by]);
            }
            Err(error) => {
                let text = format!("the old settings stay in force: {error}");
                self.note(EventKind::Reloaded, None, [by, ("text", text)]);
            }
        }
    }
}
