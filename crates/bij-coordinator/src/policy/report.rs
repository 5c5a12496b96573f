//! Why runs wait, and when to look again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bij_core::queue::{ClosedGate, QueuedRun, WaitingOn};
use bij_core::{ExperimentId, RunId, TimeSpan, Timestamp};

use super::{HealthMemory, Observation, PowerWish, State};

/// Why runs wait, and when to look again.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// When it was made.
    pub at: Timestamp,
    /// Every closed gate of every run that waits or is held. Thousands wait for the very same: what
    /// is equal is kept once.
    pub waiting: HashMap<RunId, Arc<[WaitingOn]>>,
    /// Nothing that waits its turn can start whatever it claims: all slots are taken, or admission
    /// is closed to all. A further submission then needs no decision.
    pub shut: bool,
    /// How those that are up do.
    pub health: BTreeMap<RunId, HealthMemory>,
    /// Since which uptime experiments have more of the GPU's memory than they may.
    pub over_gpu_memory: BTreeMap<ExperimentId, TimeSpan>,
    /// How the board is to be now.
    pub power_wish: PowerWish,
    /// The uptime at which a gate may open, or something else is due, though nothing happens.
    pub next_look: Option<TimeSpan>,
    /// What could not be read of the machine.
    pub troubles: Vec<String>,
    /// What the run that was looked at before waits for.
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
            power_wish: PowerWish::default(),
            next_look: None,
            troubles: unread.map(ToString::to_string).collect(),
            newest: Arc::default(),
        }
    }

    /// Asks to be looked at again at this uptime.
    pub(super) fn look_at(&mut self, uptime: TimeSpan) {
        self.next_look = Some(self.next_look.map_or(uptime, |next| next.min(uptime)));
    }

    /// Writes down why a run waits: a gate that was closed before has been closed since then.
    pub(super) fn wait(&mut self, run: &QueuedRun, closed: Vec<ClosedGate>, last: Option<&Self>) {
        let before = last.and_then(|last| last.waiting.get(&run.run));
        let since = |gate: &ClosedGate| match (before, last) {
            (Some(before), _) => {
                let same = before.iter().find(|waiting| is_same_gate(&waiting.gate, gate));
                same.map_or(self.at, |waiting| waiting.since)
            }
            // It came after the last report, and nothing has opened since.
            (None, Some(last)) if run.submitted >= last.at => run.submitted.min(self.at),
            (None, _) => self.at,
        };
        let since = |gate: &ClosedGate| match gate {
            // It knows by itself, and of all runs alike.
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

/// Whether two reports speak of the same gate, whatever its numbers are by now.
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
