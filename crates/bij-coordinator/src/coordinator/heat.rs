//! What the heat ladder is told, and what it tells.

use std::collections::BTreeMap;

use bij_core::port::{Change, RunQueue};
use bij_core::queue::{EventKind, WaitingOn};
use bij_core::{Celsius, ExperimentId, TimeSpan};

use super::{Coordinator, trouble::With};
use crate::heat::{HeatMove, HeatSettings, Living};
use crate::policy::{Warmth, closed_by_heat, put_first, reading};
use crate::{Now, Ports};

/// What lives, as the heat ladder wants to know it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lives {
    /// Every experiment that is up.
    pub living: Vec<Living>,
    /// The limits of their own (`[thermal] max_celsius`) of those that are up, and of those that wait
    /// and were up before.
    pub limits: BTreeMap<ExperimentId, Celsius>,
    /// The first of those that wait for nothing but the board to cool down.
    pub next: Option<Living>,
    /// Whether anybody has set one of the thresholds.
    pub thresholds_are_set: bool,
    /// Whether the GPU's clock is bounded when it is hot, if anybody has said so.
    pub cap_gpu: Option<bool>,
    /// The thresholds; `None` as long as nobody has looked.
    pub settings: Option<HeatSettings>,
}

/// So many moves that could not be recorded are kept until they can.
const UNTOLD: usize = 256;

impl<P: Ports> Coordinator<P> {
    /// The heat ladder has moved, or stands otherwise than before. What it has done is recorded as
    /// soon as the store takes it.
    pub fn heat(&mut self, warmth: Warmth, moves: &[HeatMove], now: Now) {
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
            let note =
                Change::Note { kind: EventKind::Heat, run: up.map(|it| it.run.clone()), data };
            self.untold.push((note, now.at));
        }
        let surplus = self.untold.len().saturating_sub(UNTOLD);
        self.untold.drain(..surplus);
        if warmth != self.seen.warmth {
            self.seen.warmth = warmth;
            self.report_is_fresh = false;
            self.undecided = true;
        }
        // What was stopped for heat is looked at even if the manager's word of it is lost.
        for HeatMove { step, .. } in moves {
            self.unseen.units.extend(step.experiment().cloned());
            self.undecided = true;
        }
    }

    /// Records what the ladder has done.
    pub(super) fn tell_of_heat(&mut self) {
        while let Some((note, at)) = self.untold.first() {
            if self.troubles.waits(With::Store, self.seen.now.uptime) {
                return;
            }
            if let Err(error) = self.adapters.store.change(std::slice::from_ref(note), *at) {
                self.troubles.met(With::Store, &error, self.seen.now);
                return;
            }
            self.untold.remove(0);
        }
    }

    /// What lives, as the ladder wants to know it.
    pub fn lives(&mut self) -> Lives {
        let up: Vec<ExperimentId> =
            self.seen.units.keys().filter(|id| self.seen.is_up(id)).cloned().collect();
        for id in &up {
            self.know_traits(id);
            let unit = self.seen.units.get(id);
            let invocation = unit.and_then(|unit| unit.invocation);
            let lived = unit.and_then(|unit| self.seen.now.at.since(unit.since?));
            let Some((traits, invocation)) = self.traits.get_mut(id).zip(invocation) else {
                continue;
            };
            if traits.life.is_none_or(|(known, _)| known != invocation) {
                let lived = lived.unwrap_or_default().as_micros();
                let since = self.seen.now.uptime.as_micros().saturating_sub(lived);
                traits.life = Some((invocation, TimeSpan::from_micros(since)));
            }
        }
        let next = self.next_when_cool();
        let Self { traits, state, seen, .. } = self;
        traits.retain(|id, _| seen.is_up(id) || state.runs_of(id).next().is_some());
        let waiting: Vec<ExperimentId> =
            traits.keys().filter(|id| !seen.is_up(id)).cloned().collect();
        for id in &waiting {
            self.know_traits(id);
        }
        let Self { traits, state, .. } = self;
        let limits = traits.iter().filter_map(|(id, it)| Some((id.clone(), it.max_celsius?)));
        let limits = limits.collect();
        let settings = HeatSettings::try_from(&state.settings).ok();
        let thresholds_are_set =
            state.settings.throttle_celsius.is_some() || state.settings.critical_celsius.is_some();
        let cap_gpu = state.settings.cap_gpu;
        let living = up.iter().filter_map(|id| self.living(id)).collect();
        Lives { living, limits, next, thresholds_are_set, cap_gpu, settings }
    }

    fn next_when_cool(&mut self) -> Option<Living> {
        self.seen.warmth.held.as_ref()?;
        let report = self.state.last.as_ref()?;
        let waits_for_cold_only =
            |waiting: &[WaitingOn]| matches!(waiting, [one] if one.gate.name() == "heat");
        let waiting = self.state.runs.values().filter(|run| {
            report.waiting.get(&run.run).is_some_and(|gates| waits_for_cold_only(gates))
        });
        let first = waiting.min_by(|a, b| a.order().cmp(&b.order()))?;
        let (experiment, priority) = (first.run.experiment.clone(), first.terms.priority);
        self.know_traits(&experiment);
        // It would be the youngest of all.
        let since = TimeSpan::from_micros(u64::MAX);
        Some(self.traits.get(&experiment)?.living(&experiment, priority, since))
    }

    fn living(&self, id: &ExperimentId) -> Option<Living> {
        let traits = self.traits.get(id)?;
        let priority = self.state.up_of(id).map_or(0, |run| run.terms.priority);
        let since = traits.life.map_or(TimeSpan::default(), |(_, since)| since);
        Some(traits.living(id, priority, since))
    }

    /// What systemd brings back after a crash waits as well while it is too hot: its run is put back,
    /// and says why.
    pub(super) fn waits_for_cold(&mut self, experiment: &ExperimentId) -> Option<String> {
        let up = self.state.up_of(experiment)?.clone();
        let gate = closed_by_heat(&up, &self.state, &self.seen)?;
        let text = gate.to_string();
        let changes = put_first(&self.state, &[&up], &text);
        // A store that does not take it: the run is found to be down later, and ends by its crash.
        let _ = self.change(&changes);
        Some(text)
    }
}
