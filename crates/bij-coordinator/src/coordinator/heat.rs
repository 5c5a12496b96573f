//! Exchange with heat control: its moves are recorded, and it gets the experiments that are up.

use std::collections::BTreeMap;

use bij_core::queue::{EventKind, WaitingOn};
use bij_core::{Celsius, ExperimentId, Uptime};

use super::Coordinator;
use crate::heat::{HeatMove, HeatSettings, Living};
use crate::policy::{ThermalStatus, reading};
use crate::{Now, Ports};

/// Experiments that are up, with the settings that heat control needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunningExperiments {
    /// Experiments that are up.
    pub living: Vec<Living>,
    /// Own limits (`[thermal] max_celsius`) of experiments that are up, and of those that wait and were up
    /// before.
    pub limits: BTreeMap<ExperimentId, Celsius>,
    /// First waiting experiment that waits only for the board to cool down.
    pub next: Option<Living>,
    /// Whether the settings name one of the thresholds.
    pub thresholds_are_set: bool,
    /// Whether the GPU's clock may be capped, if the settings say so.
    pub cap_gpu: Option<bool>,
    /// Thresholds of heat control; `None` before the first observation, or if the settings are unusable.
    pub settings: Option<HeatSettings>,
}

impl<P: Ports> Coordinator<P> {
    /// Takes the moves and the new status of heat control. The moves are recorded as soon as the store takes
    /// them.
    pub fn heat(&mut self, status: ThermalStatus, moves: &[HeatMove], now: Now) {
        self.seen.now = now;
        for HeatMove { step, because } in moves {
            let experiment = step.experiment();
            let up = experiment.and_then(|id| self.state.up_of(id));
            let mut data = BTreeMap::from([
                ("step".to_owned(), step.name().to_owned()),
                ("text".to_owned(), format!("{because}: {step}")),
            ]);
            data.extend(
                reading(because).map(|it| ("celsius".to_owned(), it.degrees().to_string())),
            );
            let run = up.map(|it| it.run.clone());
            self.note_later(EventKind::Heat, run, data);
        }
        if status != self.seen.warmth {
            self.seen.warmth = status;
            self.outdated.decision();
        }
        // Stopped units are read even if the manager's signal is lost.
        for HeatMove { step, .. } in moves {
            self.outdated.check_units(step.experiment().cloned());
            self.outdated.only_decision();
        }
    }

    /// Returns the experiments that are up, with the settings that heat control needs.
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
        let settings = HeatSettings::try_from(&state.settings).ok();
        let thresholds_are_set =
            state.settings.throttle_celsius.is_some() || state.settings.critical_celsius.is_some();
        let cap_gpu = state.settings.cap_gpu;
        let living = up.iter().filter_map(|id| self.living(id)).collect();
        RunningExperiments { living, limits, next, thresholds_are_set, cap_gpu, settings }
    }

    fn next_to_start_when_cool(&mut self) -> Option<Living> {
        self.seen.warmth.held.as_ref()?;
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
        Some(settings.living(&experiment, priority, Uptime::MAX))
    }

    fn living(&self, id: &ExperimentId) -> Option<Living> {
        let settings = self.running_settings.get(id)?;
        let priority = self.state.up_of(id).map_or(0, |run| run.terms.priority);
        let since = settings.attempt.map_or(Uptime::BOOT, |(_, since)| since);
        Some(settings.living(id, priority, since))
    }
}
