//! Events of the whole machine, and starts and stops that bypass the coordinator.

use bij_core::{ExperimentId, SubState, TimeSpan};

use super::unit::StartLimitReset;
use super::{SimUnits, Unit};

impl SimUnits {
    /// Starts a unit as `systemctl start --no-block` does. A start limit that was hit refuses it.
    pub fn start_from_elsewhere(&self, id: &ExperimentId) {
        let mut state = self.state();
        state.with_unit(id, |unit, context| unit.start(None, StartLimitReset::No, context));
    }

    /// Stops a unit as `systemctl stop --no-block` does.
    pub fn stop_from_elsewhere(&self, id: &ExperimentId) {
        let mut state = self.state();
        state.with_unit(id, |unit, context| unit.stop(None, context));
    }

    /// Stops all units, as a clean shutdown does.
    pub fn stop_all(&self) {
        let mut state = self.state();
        let ids: Vec<ExperimentId> = state.units.keys().cloned().collect();
        for id in ids {
            state.with_unit(&id, |unit, context| unit.stop(None, context));
        }
    }

    /// Cuts the power: no unit is up, and no job or signal is reported.
    pub fn cut_power(&self) {
        let mut state = self.state();
        state.jobs.lose_all();
        state.signals.clear();
        state.units.values_mut().for_each(Unit::lose_power);
    }

    /// Starts the enabled units, as a boot does.
    pub fn start_enabled(&self) {
        let mut state = self.state();
        let enabled: Vec<ExperimentId> = state.enabled.iter().cloned().collect();
        for id in enabled {
            state.with_unit(&id, |unit, context| unit.start(None, StartLimitReset::No, context));
        }
    }

    /// Returns the experiments whose units have changed since the last call, in order, as the bus
    /// signals them.
    pub fn take_signals(&self) -> Vec<ExperimentId> {
        std::mem::take(&mut self.state().signals)
    }

    /// Returns the time until the next event that happens by itself.
    pub fn next_due(&self) -> Option<TimeSpan> {
        let state = self.state();
        let (due, _) = state.next_event()?;
        Some(due - state.now)
    }

    /// Returns the experiments that have a process.
    pub fn with_processes(&self) -> Vec<ExperimentId> {
        let state = self.state();
        let with_processes = state.units.iter().filter(|(_, unit)| unit.has_process());
        with_processes.map(|(id, _)| id.clone()).collect()
    }

    /// Returns the experiments whose units are neither down nor at their condition, regardless of
    /// faults.
    pub fn up(&self) -> Vec<ExperimentId> {
        let state = self.state();
        let up = state.units.iter().filter(|(id, unit)| {
            let status = unit.status(id, false);
            let down = status.active_state.is_down();
            !down && status.sub_state != SubState::Condition
        });
        up.map(|(id, _)| id.clone()).collect()
    }
}
