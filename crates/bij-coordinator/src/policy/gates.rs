//! Evaluates the gates of a run.

use bij_core::queue::{ClosedGate, QueuedRun};

use super::capacity::UsedCapacity;
use super::{Observation, State, dependency, gpu, hold, memory, power_mode, slots, thermal, time};

/// State of the machine against which gates are evaluated; it changes as runs are started.
pub(super) struct Gates<'a> {
    pub(super) state: &'a State,
    pub(super) seen: &'a Observation,
    /// Capacity in use, including that of the runs started by this decision.
    pub(super) used: UsedCapacity,
    memory: memory::Limits,
    /// Assignment of the board's power mode.
    pub(super) power: power_mode::PowerModeAssignment<'a>,
    closed_to_all: Vec<ClosedGate>,
}

impl<'a> Gates<'a> {
    pub(super) fn new(state: &'a State, seen: &'a Observation, used: UsedCapacity) -> Self {
        let memory = memory::Limits::new(&state.settings, &seen.sample);
        let power = power_mode::PowerModeAssignment::new(state, seen);
        Self { state, seen, used, memory, power, closed_to_all: Vec::new() }
    }

    /// Adds gates that are closed for every run.
    pub(super) fn close_to_all(&mut self, gates: Vec<ClosedGate>) {
        self.closed_to_all = gates;
    }

    /// Returns whether some gate is closed for every run.
    pub(super) const fn is_closed_to_all(&self) -> bool {
        !self.closed_to_all.is_empty()
    }

    /// Returns the memory that runs can claim.
    pub(super) const fn memory(&self) -> &memory::Limits {
        &self.memory
    }

    /// Returns every closed gate of a run, except its turn.
    ///
    /// A run that passes the gates (`now`) still waits while it is held, for its experiment's unit, for a
    /// back-off after a failed start, and for heat.
    pub(super) fn closed(&self, run: &QueuedRun) -> Vec<ClosedGate> {
        let Self { state, seen, used, memory, power, closed_to_all } = self;
        let mut closed = closed_to_all.clone();
        closed.extend(hold::held(run));
        // Before `same_experiment`: it carries the reason of the failure.
        closed.extend(time::back_off(run, state, seen));
        closed.extend(slots::same_experiment(run, state, used));
        closed.extend(thermal::thermal_gate(run, state, seen));
        if run.terms.now {
            return closed;
        }
        closed.extend(hold::paused(run, state));
        closed.extend(slots::machine(state, used));
        closed.extend(slots::group(run, state, used));
        closed.extend(memory.closed(run.terms.claim.memory, used));
        closed.extend(gpu::closed(run.terms.claim.gpu, used));
        closed.extend(power.closed(run));
        closed.extend(dependency::closed(run, state, seen));
        closed.extend(time::not_before(run, state, seen));
        closed.extend(time::boot_grace(state, seen));
        closed
    }
}
