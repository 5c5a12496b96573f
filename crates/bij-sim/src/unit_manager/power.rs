//! What befalls a whole machine, and what people do to its units behind a coordinator's back.

use bij_core::{ExperimentId, TimeSpan};

use super::unit::Lift;
use super::{SimUnits, Unit};

impl SimUnits {
    /// `systemctl start`, asked for by somebody who waits for nothing: a start limit that was hit
    /// refuses it.
    pub fn start_from_elsewhere(&self, id: &ExperimentId) {
        let mut world = self.world();
        world.with_unit(id, |unit, now| unit.start(None, Lift::No, now));
    }

    /// `systemctl stop`, as [`SimUnits::start_from_elsewhere`].
    pub fn stop_from_elsewhere(&self, id: &ExperimentId) {
        let mut world = self.world();
        world.with_unit(id, |unit, now| unit.stop(None, now));
    }

    /// All units are told to leave, as they are when the machine goes down in good order.
    pub fn stop_all(&self) {
        let mut world = self.world();
        let ids: Vec<ExperimentId> = world.units.keys().cloned().collect();
        for id in ids {
            world.with_unit(&id, |unit, now| unit.stop(None, now));
        }
    }

    /// The machine is gone from one moment to the next: no unit is up, and nobody hears of it.
    pub fn cut_power(&self) {
        let mut world = self.world();
        world.jobs.lose_all();
        world.signals.clear();
        world.units.values_mut().for_each(Unit::power_lost);
    }

    /// A boot begins: what is enabled is started.
    pub fn start_enabled(&self) {
        let mut world = self.world();
        let enabled: Vec<ExperimentId> = world.enabled.iter().cloned().collect();
        for id in enabled {
            world.with_unit(&id, |unit, now| unit.start(None, Lift::No, now));
        }
    }

    /// Whose units have changed since this was last asked, in order; the bus may tell of it.
    pub fn take_signals(&self) -> Vec<ExperimentId> {
        std::mem::take(&mut self.world().signals)
    }

    /// How long it is until something happens by itself.
    pub fn next_due(&self) -> Option<TimeSpan> {
        let world = self.world();
        let (due, _) = world.next_event()?;
        Some(TimeSpan::from_micros(due.saturating_sub(world.now)))
    }

    /// Whose processes live at this moment.
    pub fn living(&self) -> Vec<ExperimentId> {
        let world = self.world();
        let living = world.units.iter().filter(|(_, unit)| unit.lives());
        living.map(|(id, _)| id.clone()).collect()
    }

    /// Whose units are neither down nor waiting at their condition, whatever the bus says.
    pub fn up(&self) -> Vec<ExperimentId> {
        let world = self.world();
        let up = world.units.iter().filter(|(id, unit)| {
            let status = unit.status(id, false);
            let down = status.active_state.is_down();
            !down && status.sub_state != "condition"
        });
        up.map(|(id, _)| id.clone()).collect()
    }
}
