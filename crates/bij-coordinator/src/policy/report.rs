//! Reports of decisions: why runs wait, and when to decide again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bij_core::queue::{ClosedGate, QueuedRun, WaitingOn};
use bij_core::{ExperimentId, RunId, Timestamp, Uptime};

use super::{HealthMemory, Observation, PowerTarget, State};

/// Why runs wait, and when the next decision is due.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Time of the decision.
    pub at: Timestamp,
    /// Every closed gate of every waiting or held run. Thousands of runs can wait for the same gates: equal
    /// lists are shared.
    pub waiting: HashMap<RunId, Arc<[WaitingOn]>>,
    /// No run that waits for its turn can start, whatever it claims: all slots are taken, or a gate is closed
    /// for every run. A further submission then needs no decision.
    pub shut: bool,
    /// Health of the runs that are up.
    pub health: BTreeMap<RunId, HealthMemory>,
    /// Experiments over their limit of the GPU's memory, each with the uptime since when.
    pub over_gpu_memory: BTreeMap<ExperimentId, Uptime>,
    /// Power mode and clocks that the board should have now.
    pub power_target: PowerTarget,
    /// Uptime at which a gate may open, or something else is due, without any event.
    pub next_decision: Option<Uptime>,
    /// Values of the machine that could not be read, with the errors.
    pub troubles: Vec<String>,
    /// Gates of the run that was reported last.
    newest: Arc<[WaitingOn]>,
}

impl Report {
    pub(super) fn new(state: &State, seen: &Observation) -> Self {
        let sample = &seen.sample;
        let memory = [&sample.memory_total, &sample.memory_available];
        let unread = memory.into_iter().filter_map(|part| part.as_ref().err());
        let unread = unread.chain(sample.memory_pressure.as_ref().err());
        Self {
            at: seen.now.at,
            waiting: HashMap::with_capacity(state.runs.len()),
            shut: false,
            health: state.health.clone(),
            over_gpu_memory: BTreeMap::new(),
            power_target: PowerTarget::default(),
            next_decision: None,
            troubles: unread.map(ToString::to_string).collect(),
            newest: Arc::default(),
        }
    }

    /// Requests another decision at this uptime.
    pub(super) fn decide_again_at(&mut self, uptime: Uptime) {
        self.next_decision = Some(self.next_decision.map_or(uptime, |next| next.min(uptime)));
    }

    /// Records why a run waits; a gate that the last report names keeps its `since`.
    pub(super) fn wait(&mut self, run: &QueuedRun, closed: Vec<ClosedGate>, last: Option<&Self>) {
        let before = last.and_then(|last| last.waiting.get(&run.run));
        let since = |gate: &ClosedGate| match (before, last) {
            (Some(before), _) => {
                let same = before.iter().find(|waiting| is_same_gate(&waiting.gate, gate));
                same.map_or(self.at, |waiting| waiting.since)
            }
            // The run came after the last report, and no gate has opened since.
            (None, Some(last)) if run.submitted >= last.at => run.submitted.min(self.at),
            (None, _) => self.at,
        };
        let since = |gate: &ClosedGate| match gate {
            // This gate carries its own time, the same for all runs.
            ClosedGate::Manager { since, why: _ } => *since,
            gate => since(gate),
        };
        let waiting: Vec<WaitingOn> =
            closed.into_iter().map(|gate| WaitingOn { since: since(&gate), gate }).collect();
        if *self.newest != *waiting {
            self.newest = match before {
                Some(before) if **before == *waiting => Arc::clone(before),
                Some(_) | None => waiting.into(),
            };
        }
        self.waiting.insert(run.run.clone(), Arc::clone(&self.newest));
    }
}

/// Returns whether two gates are the same apart from their numbers.
fn is_same_gate(before: &ClosedGate, now: &ClosedGate) -> bool {
    match (before, now) {
        (ClosedGate::Dependency { on: before, .. }, ClosedGate::Dependency { on: now, .. }) => {
            before == now
        }
        (ClosedGate::Paused { group: before, .. }, ClosedGate::Paused { group: now, .. }) => {
            before == now
        }
        (before, now) => before.name() == now.name(),
    }
}
