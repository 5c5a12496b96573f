//! Whose turn it is.
//!
//! Runs are let start in their order as long as there is room; smaller ones fill the gaps that a
//! larger one cannot use. So that these do not keep it waiting for ever, the first run that wants
//! memory and lacks room, and the first that wants the GPU, are *heads*: each start behind a head
//! that takes of what it wants is counted, and after `max_bypass` of them what is given back is kept
//! for it. A run that takes nothing of what a head wants costs it nothing and is never kept waiting
//! for it; but another run of its experiment is, because that would take its unit.

use bij_core::port::Change;
use bij_core::queue::{ClosedGate, GpuClaim, QueuedRun};

use super::gates::Gates;
use super::{Action, Report, State, gpu, slots, time};

/// Lets runs start in their order, and reports why the others wait.
pub(super) fn start(gates: &mut Gates<'_>, report: &mut Report) -> Vec<Action> {
    let (state, seen) = (gates.state, gates.seen);
    let mut heads = Heads::default();
    let mut actions = Vec::new();
    for run in turns(state) {
        let closed = heads.closed(gates, run);
        if closed.is_empty() {
            gates.room.take(&run.run, &run.terms, true);
            gates.power.take(run);
            actions.extend(heads.passed_by(run).into_iter().map(Action::Change));
            let why = if run.terms.now { "it passes the gates" } else { "every gate is open" };
            let (from, why) = (run.state.clone(), why.to_owned());
            actions.push(Action::Start { run: run.run.clone(), from, why });
            continue;
        }
        for gate in &closed {
            time::ask_for_a_look(gate, seen, report);
        }
        heads.consider(gates, run, &closed);
        gates.power.consider(run, &closed);
        report.wait(run, closed, state.last.as_ref());
    }
    report.power_wish = gates.power.wish(state, seen);
    report.shut = is_shut(gates);
    actions
}

/// Every closed gate of a run when its turn in the order has come, and those before it have taken
/// what is theirs.
pub(super) fn closed_in_turn(gates: &Gates<'_>, asked: &QueuedRun) -> Vec<ClosedGate> {
    let mut gates = Gates::new(gates.state, gates.seen, gates.room.clone());
    let mut heads = Heads::default();
    for run in turns(gates.state) {
        let turn = |run: &QueuedRun| !run.terms.now;
        let is_before = turn(run).cmp(&turn(asked)).then_with(|| run.order().cmp(&asked.order()));
        if is_before.is_ge() || run.run.experiment == asked.run.experiment {
            continue;
        }
        let closed = heads.closed(&gates, run);
        if closed.is_empty() {
            gates.room.take(&run.run, &run.terms, true);
            gates.power.take(run);
            heads.passed_by(run);
        } else {
            heads.consider(&gates, run, &closed);
            gates.power.consider(run, &closed);
        }
    }
    heads.closed(&gates, asked)
}

/// Those that wait or are held in the order in which they are looked at: what passes the gates
/// waits for no turn, and what it takes is gone for the others.
fn turns(state: &State) -> impl Iterator<Item = &QueuedRun> {
    let order = state.in_order();
    let (urgent, others): (Vec<_>, Vec<_>) = order.into_iter().partition(|run| run.terms.now);
    urgent.into_iter().chain(others)
}

/// Whether nothing that waits its turn can start now, whatever it claims.
fn is_shut(gates: &Gates<'_>) -> bool {
    let Gates { state, seen, room, .. } = gates;
    gates.is_closed_to_all()
        || state.paused.is_some()
        || slots::machine(state, room).is_some()
        || gates.memory().pressed().is_some()
        || time::boot_grace(state, seen).is_some()
}

/// The runs that smaller ones may not pass for ever.
#[derive(Default)]
struct Heads<'a> {
    list: Vec<Head<'a>>,
}

struct Head<'a> {
    run: &'a QueuedRun,
    /// It is the first that wants memory.
    of_memory: bool,
    /// It is the first that wants the GPU.
    of_gpu: bool,
    /// How often it was passed by now.
    bypassed: u32,
    /// How often it may be.
    at_most: u32,
    /// Whether anything that is up will give back what it lacks. Memory that others than
    /// experiments use is not waited for with an idle machine.
    awaits: bool,
}

impl Head<'_> {
    /// Whether what is given back is kept for it.
    const fn is_reserved(&self) -> bool {
        self.awaits && self.bypassed >= self.at_most
    }

    /// Whether a run takes of what it wants. What a run without a claim takes of the memory is not
    /// known; it counts as nothing here as it does in the budget.
    fn is_hindered_by(&self, run: &QueuedRun) -> bool {
        let (own, other) = (self.run.terms.claim, run.terms.claim);
        self.of_memory && other.memory.is_some() || self.of_gpu && gpu::clash(own.gpu, other.gpu)
    }

    /// Whether a run has to wait until this one has started.
    fn keeps_waiting(&self, run: &QueuedRun) -> bool {
        self.run.run.experiment == run.run.experiment
            || self.is_reserved() && self.is_hindered_by(run)
    }
}

impl<'a> Heads<'a> {
    /// Every closed gate of a run, its turn included.
    fn closed(&self, gates: &Gates<'_>, run: &QueuedRun) -> Vec<ClosedGate> {
        let mut closed = gates.closed(run);
        if run.terms.now {
            return closed;
        }
        let before = self.list.iter().find(|head| head.keeps_waiting(run));
        if let Some(head) = before {
            closed.push(ClosedGate::Turn { of: head.run.run.clone() });
        }
        closed
    }

    /// Takes a run for a head if it lacks nothing but room, and is the first that wants something.
    fn consider(&mut self, gates: &Gates<'_>, run: &'a QueuedRun, closed: &[ClosedGate]) {
        let Some(lacks) = lacks_only_room(closed) else { return };
        let claim = run.terms.claim;
        let of_memory = claim.memory.is_some() && !self.list.iter().any(|head| head.of_memory);
        let of_gpu = claim.gpu != GpuClaim::None && !self.list.iter().any(|head| head.of_gpu);
        let wants_more_than_a_slot = lacks.memory || lacks.gpu;
        if wants_more_than_a_slot
            && (of_memory || of_gpu)
            && gates.memory().can_ever_fit(claim.memory)
        {
            let awaits = lacks.memory && gates.room.claimed().get() > 0 || lacks.gpu;
            let (bypassed, at_most) = (run.bypassed, gates.state.settings.bypass());
            self.list.push(Head { run, of_memory, of_gpu, bypassed, at_most, awaits });
        }
    }

    /// Counts that a run behind the heads is let start.
    fn passed_by(&mut self, run: &QueuedRun) -> Vec<Change> {
        let mut counted = Vec::new();
        if run.terms.now {
            return counted;
        }
        for head in self.list.iter_mut().filter(|head| head.is_hindered_by(run)) {
            head.bypassed = head.bypassed.saturating_add(1);
            head.awaits = true;
            counted.push(Change::Bypassed { run: head.run.run.clone(), times: head.bypassed });
        }
        counted
    }
}

/// What a run lacks of the machine's room besides slots.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Lacks {
    memory: bool,
    gpu: bool,
}

/// What of the machine's room a run lacks, if it lacks nothing else. Slots are room too, but while
/// they are what is missing nobody can pass, or only those of other groups.
fn lacks_only_room(closed: &[ClosedGate]) -> Option<Lacks> {
    let mut lacks = Lacks { memory: false, gpu: false };
    for gate in closed {
        match gate {
            // One that waits for its turn lacks what is kept for another.
            ClosedGate::Slots { .. } | ClosedGate::GroupSlots { .. } | ClosedGate::Turn { .. } => {}
            ClosedGate::Memory { .. } | ClosedGate::MemoryAvailable { .. } => lacks.memory = true,
            ClosedGate::Gpu { .. } => lacks.gpu = true,
            ClosedGate::Manager { .. }
            | ClosedGate::GoingDown { .. }
            | ClosedGate::Hold { .. }
            | ClosedGate::Paused { .. }
            | ClosedGate::MemoryPressure { .. }
            | ClosedGate::Heat { .. }
            | ClosedGate::PowerMode { .. }
            | ClosedGate::Dependency { .. }
            | ClosedGate::NotBefore { .. }
            | ClosedGate::BootGrace { .. }
            | ClosedGate::BackOff { .. }
            | ClosedGate::SameExperiment { .. } => return None,
        }
    }
    Some(lacks)
}
