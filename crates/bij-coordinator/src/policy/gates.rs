//! Evaluates the gates of a run.

use bij_core::queue::{
    ClosedGate, Condition, Dependencies, Dependency, QueueState, QueuedRun, RunRef,
};
use bij_core::{RunEnd, RunState};

use super::capacity::UsedCapacity;
use super::{Observation, State, Unreachable, capacity, heat, memory, power_mode, time};

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
        closed.extend(held(run));
        // Before `same_experiment`: it carries the reason of the failure.
        closed.extend(time::back_off(run, state, seen));
        closed.extend(capacity::same_experiment(run, state, used));
        closed.extend(heat::heat_gate(run, state, seen));
        if run.terms.now {
            return closed;
        }
        closed.extend(paused(run, state));
        closed.extend(capacity::machine_slots(state, used));
        closed.extend(capacity::group_slots(run, state, used));
        closed.extend(memory.closed(run.terms.claim.memory, used));
        closed.extend(capacity::gpu_in_use(run.terms.claim.gpu, used));
        closed.extend(power.closed(run));
        closed.extend(unmet_dependencies(run, state, seen));
        closed.extend(time::not_before(run, state, seen));
        closed.extend(time::boot_grace(state, seen));
        closed
    }
}

/// Returns the gates that are closed for every run.
pub(super) fn closed_to_all(seen: &Observation) -> Vec<ClosedGate> {
    let manager = seen.unreachable.clone();
    let manager = manager.map(|Unreachable { since, why }| ClosedGate::Manager { since, why });
    let going_down = seen.going_down.iter().map(|what| ClosedGate::GoingDown { what: *what });
    manager.into_iter().chain(going_down).collect()
}

/// Returns the gate of a held run.
fn held(run: &QueuedRun) -> Option<ClosedGate> {
    match &run.state {
        QueueState::Held { by } => Some(ClosedGate::Hold { by: by.clone() }),
        QueueState::Waiting | QueueState::Starting { .. } | QueueState::Running => None,
    }
}

/// Returns the gates of a pause of all runs and of the run's group.
fn paused(run: &QueuedRun, state: &State) -> impl Iterator<Item = ClosedGate> {
    let all = state.paused.as_ref().map(|pause| (None, pause));
    let group = state.groups.get(&run.terms.group);
    let group = group.and_then(|group| Some((Some(&group.name), group.paused.as_ref()?)));
    all.into_iter()
        .chain(group)
        .map(|(group, pause)| ClosedGate::Paused { group: group.cloned(), by: pause.by.clone() })
}

/// Returns a gate for each unmet dependency; with `any`, none as soon as one dependency is met.
fn unmet_dependencies(run: &QueuedRun, state: &State, seen: &Observation) -> Vec<ClosedGate> {
    let unmet = |on: &Dependency| match dependency_status(on, state, seen) {
        DependencyStatus::Met => None,
        DependencyStatus::Unmet { ended } => Some(ClosedGate::Dependency { on: on.clone(), ended }),
    };
    match &run.terms.after {
        Dependencies::All(list) => list.iter().filter_map(unmet).collect(),
        Dependencies::Any(list) => {
            let closed: Vec<_> = list.iter().filter_map(unmet).collect();
            if closed.len() < list.len() { Vec::new() } else { closed }
        }
    }
}

enum DependencyStatus {
    Met,
    Unmet { ended: Option<RunEnd> },
}

fn dependency_status(on: &Dependency, state: &State, seen: &Observation) -> DependencyStatus {
    match (run_state(&on.on, state, seen), on.condition) {
        (Some(RunState::Ended(RunEnd::Success)), _)
        | (Some(RunState::Ended(_)), Condition::End) => DependencyStatus::Met,
        (Some(RunState::Ended(end)), Condition::Success) => {
            DependencyStatus::Unmet { ended: Some(end) }
        }
        (Some(RunState::Open) | None, _) => DependencyStatus::Unmet { ended: None },
    }
}

/// Returns whether a run is open or has ended. Only the store knows whether an experiment's newest run is
/// still in the queue: an older run may be queued after the newest has ended.
fn run_state(run: &RunRef, state: &State, seen: &Observation) -> Option<RunState> {
    match (run, seen.others.get(run)) {
        (RunRef::Newest(_), Some(found)) => *found,
        (_, found) if state.queued(run).is_none() => found.copied().flatten(),
        _ => Some(RunState::Open),
    }
}
