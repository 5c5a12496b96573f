//! Exchange with thermal control: its decisions are recorded, and it gets the experiments that are up.

use std::collections::BTreeMap;

use bij_core::queue::{EventKind, WaitingOn};
use bij_core::{ExperimentId, Uptime};

use super::Coordinator;
use crate::thermal::{
    RunningExperiments, ThermalDecision, ThermalLoad, ThermalSettings, ThermalStatus,
};
use crate::{Now, Ports};

impl<P: Ports> Coordinator<P> {
    /// Takes the decisions and the new status of thermal control. The decisions are recorded as soon as the store
    /// takes them.
    pub fn update_thermal(
        &mut self,
        status: ThermalStatus,
        decisions: &[ThermalDecision],
        now: Now,
    ) {
        self.seen.now = now;
        for ThermalDecision { action, reason } in decisions {
            let experiment = action.experiment();
            let up = experiment.and_then(|id| self.state.up_of(id));
            let mut data = BTreeMap::from([
                ("step".to_owned(), action.name().to_owned()),
                ("text".to_owned(), format!("{reason}: {action}")),
            ]);
            data.extend(
                reason.celsius().map(|it| ("celsius".to_owned(), it.degrees().to_string())),
            );
            let run = up.map(|it| it.run.clone());
            self.note_later(EventKind::Heat, run, data);
        }
        if status != self.seen.thermal {
            self.seen.thermal = status;
            self.outdated.decision();
        }
        // Stopped units are read even if the manager's signal is lost.
        for ThermalDecision { action, .. } in decisions {
            self.outdated.check_units(action.experiment().cloned());
            self.outdated.only_decision();
        }
    }

    /// Returns the experiments that are up, with the settings that thermal control needs.
    pub fn running_experiments(&mut self) -> RunningExperiments {
        let up: Vec<ExperimentId> =
            self.seen.units.keys().filter(|id| self.seen.is_up(id)).cloned().collect();
        for id in &up {
            self.refresh_running_settings(id);
            let unit = self.seen.units.get(id);
            let invocation = unit.and_then(|unit| unit.invocation);
            let age = unit.and_then(|unit| self.seen.now.at.since(unit.since?));
            let Some((settings, invocation)) = self.running_settings.get_mut(id).zip(invocation)
            else {
                continue;
            };
            if settings.attempt.is_none_or(|(known, _)| known != invocation) {
                let since = self.seen.now.uptime - age.unwrap_or_default();
                settings.attempt = Some((invocation, since));
            }
        }
        let next = self.next_to_start_when_cool();
        let Self { running_settings, state, seen, .. } = self;
        running_settings.retain(|id, _| seen.is_up(id) || state.runs_of(id).next().is_some());
        let waiting: Vec<ExperimentId> =
            running_settings.keys().filter(|id| !seen.is_up(id)).cloned().collect();
        for id in &waiting {
            self.refresh_running_settings(id);
        }
        let Self { running_settings, state, .. } = self;
        let limits =
            running_settings.iter().filter_map(|(id, it)| Some((id.clone(), it.max_celsius?)));
        let limits = limits.collect();
        let settings = ThermalSettings::try_from(&state.settings).ok();
        let thresholds_are_set =
            state.settings.throttle_celsius.is_some() || state.settings.critical_celsius.is_some();
        let cap_gpu = state.settings.cap_gpu;
        let loads = up.iter().filter_map(|id| self.thermal_load(id)).collect();
        RunningExperiments { loads, limits, next, thresholds_are_set, cap_gpu, settings }
    }

    fn next_to_start_when_cool(&mut self) -> Option<ThermalLoad> {
        self.seen.thermal.held.as_ref()?;
        let report = self.state.last.as_ref()?;
        let waits_only_for_heat =
            |waiting: &[WaitingOn]| matches!(waiting, [one] if one.gate.name() == "heat");
        let waiting = self.state.runs.values().filter(|run| {
            report.waiting.get(&run.run).is_some_and(|gates| waits_only_for_heat(gates))
        });
        let first = waiting.min_by(|a, b| a.order().cmp(&b.order()))?;
        let (experiment, priority) = (first.run.experiment.clone(), first.terms.priority);
        self.refresh_running_settings(&experiment);
        // Once started, it would be the youngest of all.
        let settings = self.running_settings.get(&experiment)?;
        Some(settings.thermal_load(&experiment, priority, Uptime::MAX))
    }

    fn thermal_load(&self, id: &ExperimentId) -> Option<ThermalLoad> {
        let settings = self.running_settings.get(id)?;
        let priority = self.state.up_of(id).map_or(0, |run| run.terms.priority);
        let since = settings.attempt.map_or(Uptime::BOOT, |(_, since)| since);
        Some(settings.thermal_load(id, priority, since))
    }
}
