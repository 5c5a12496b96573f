//! All gates of one run.

use bij_core::queue::{ClosedGate, QueuedRun};

use super::room::Room;
use super::{Observation, State, dependency, gpu, heat, hold, memory, power_mode, slots, time};

/// What gates are judged by.
pub(super) struct Gates<'a> {
    pub(super) state: &'a State,
    pub(super) seen: &'a Observation,
    /// What is taken; it grows with every run that is let start.
    pub(super) room: Room,
    memory: memory::Limits,
    /// Its power mode.
    pub(super) power: power_mode::Board<'a>,
    closed_to_all: Vec<ClosedGate>,
}

impl<'a> Gates<'a> {
    pub(super) fn new(state: &'a State, seen: &'a Observation, room: Room) -> Self {
        let memory = memory::Limits::new(&state.settings, &seen.sample);
        let power = power_mode::Board::new(state, seen);
        Self { state, seen, room, memory, power, closed_to_all: Vec::new() }
    }

    /// Closes gates of every run.
    pub(super) fn close_to_all(&mut self, gates: Vec<ClosedGate>) {
        self.closed_to_all = gates;
    }

    /// Whether nothing at all can be started.
    pub(super) const fn is_closed_to_all(&self) -> bool {
        !self.closed_to_all.is_empty()
    }

    /// The memory there is to be shared out.
    pub(super) const fn memory(&self) -> &memory::Limits {
        &self.memory
    }

    /// Every gate of a run that is closed, but for its turn.
    ///
    /// A run that passes the gates still is one of one unit, and what has just failed to start is
    /// not tried again at once.
    pub(super) fn closed(&self, run: &QueuedRun) -> Vec<ClosedGate> {
        let Self { state, seen, room, memory, power, closed_to_all } = self;
        let mut closed = closed_to_all.clone();
        closed.extend(hold::held(run));
        // Tells more than that its unit is on its way down.
        closed.extend(time::back_off(run, state, seen));
        closed.extend(slots::same_experiment(run, state, room));
        closed.extend(heat::closed_by_heat(run, state, seen));
        if run.terms.now {
            return closed;
        }
        closed.extend(hold::paused(run, state));
        closed.extend(slots::machine(state, room));
        closed.extend(slots::group(run, state, room));
        closed.extend(memory.closed(run.terms.claim.memory, room));
        closed.extend(gpu::closed(run.terms.claim.gpu, room));
        closed.extend(power.closed(run));
        closed.extend(dependency::closed(run, state, seen));
        closed.extend(time::not_before(run, state, seen));
        closed.extend(time::boot_grace(state, seen));
        closed
    }
}
