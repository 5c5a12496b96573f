//! Experiments that tell how far they are, and some that come to a halt.

use std::collections::BTreeMap;

use bij_coordinator::Health;
use bij_core::port::{DefinitionSource, RunQueue, UnitManager};
use bij_core::queue::QueueState;
use bij_core::{ActiveState, ExperimentId, Progress, RunId, TimeSpan, Uptime};
use futures_util::FutureExt;

use crate::ports::SimCoordinator;
use crate::world::World;

/// What is due is done a little later.
const SLACK: TimeSpan = TimeSpan::from_secs(5);

/// How the steps of an experiment follow each other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    every: TimeSpan,
    /// It comes to a halt after so many.
    at_most: u64,
    /// The uptime at which its attempt began.
    begun: Uptime,
}

impl Pace {
    /// The steps done by now, and the uptime of the last one.
    fn at(self, uptime: Uptime) -> (u64, Uptime) {
        let passed = (uptime - self.begun).as_micros();
        let steps = (passed / self.every.as_micros()).min(self.at_most);
        (steps, self.begun + self.every.saturating_mul(steps))
    }
}

impl World {
    /// Some experiments tell their steps; what their definition calls a halt is for them to keep.
    pub(crate) fn some_pace(&mut self, id: &ExperimentId) {
        let at_most = if self.dice.bool() { u64::MAX } else { self.dice.u64(0..20) };
        let every = TimeSpan::from_millis(self.dice.u64(5..60) * 1_000);
        self.paces.insert(id.clone(), Pace { every, at_most, begun: Uptime::BOOT });
    }

    /// An attempt begins, and with it the steps.
    pub(crate) fn paces_itself(&mut self, id: &ExperimentId) {
        let uptime = self.machine.clock.uptime();
        if let Some(pace) = self.paces.get_mut(id) {
            pace.begun = uptime;
        }
    }

    /// Those that live have told how far they are.
    pub(crate) fn tell_steps(&self) {
        let uptime = self.machine.clock.uptime();
        for id in self.machine.units.with_processes() {
            if let Some(pace) = self.paces.get(&id) {
                let (step, _) = pace.at(uptime);
                let progress = Progress { step: Some(step), ..Progress::default() };
                self.machine.handover.set_progress(&id, progress);
            }
        }
    }

    /// What the coordinator says of those that are up.
    pub(crate) fn health(&self) -> BTreeMap<RunId, Health> {
        let health = self.coordinator.iter().flat_map(SimCoordinator::health);
        health.map(|(run, health)| (run.clone(), health.clone())).collect()
    }

    /// One that is newly called stalled has made no step for as long as its definition allows.
    pub(crate) fn judge_health(&mut self, before: &BTreeMap<RunId, Health>) {
        let stalls = |health: &Health| matches!(health, Health::Stalled { .. });
        for (run, health) in self.health() {
            let is_news = stalls(&health) && !before.get(&run).is_some_and(stalls);
            if !is_news {
                continue;
            }
            let found = self.machine.definitions.find(&run.experiment).ok();
            let bound = found.and_then(|found| found.spec.health.stall_after);
            let silent = self.silent(&run.experiment);
            if bound.is_none_or(|bound| silent < bound) {
                let what = format!("{run} is {health} after {silent}, and may be so for {bound:?}");
                self.is_wrong("only who makes no step is stalled", Err(what));
            }
        }
    }

    /// Where nothing has been in the way for long enough, one that makes no step is called stalled.
    pub(crate) fn halts_are_told(&self) -> Result<(), String> {
        let interval = self.settings.health_interval();
        let undisturbed = self.machine.clock.uptime() - self.disturbed;
        let health = self.health();
        for run in self.machine.store.load().unwrap_or_default().runs {
            let id = &run.run.experiment;
            let found = self.machine.definitions.find(id).ok();
            let Some(bound) = found.and_then(|found| found.spec.health.stall_after) else {
                continue;
            };
            let status = self.machine.units.status(id).now_or_never();
            let is_active =
                status.is_some_and(|it| it.is_ok_and(|it| it.active_state == ActiveState::Active));
            let silent = self.silent(id).min(undisturbed);
            let is_overdue =
                silent > bound.saturating_add(interval.saturating_mul(2)).saturating_add(SLACK);
            if run.state != QueueState::Running || !is_active || !is_overdue {
                continue;
            }
            let recorded = health.get(&run.run);
            if !matches!(recorded, Some(Health::Stalled { .. })) {
                return Err(format!("{} makes no step for {silent}, and is {recorded:?}", run.run));
            }
        }
        Ok(())
    }

    /// For how long an experiment has made no step.
    fn silent(&self, id: &ExperimentId) -> TimeSpan {
        let uptime = self.machine.clock.uptime();
        uptime - self.paces.get(id).map_or(Uptime::BOOT, |pace| pace.at(uptime).1)
    }
}
