//! Whose turn it is.
//!
//! Runs are let start in their order as long as there is room; smaller ones fill the gaps that a
//! larger one cannot use. So that these do not keep it waiting for ever, the first run that lacks
//! memory, and the first that lacks the GPU, are *heads*: each start behind a head that takes of
//! what it lacks is counted, and after `max_bypass` of them what is given back is kept for it. A run
//! that takes nothing of what a head lacks costs it nothing and is never kept waiting for it.

use bij_core::port::Change;
use bij_core::queue::{ClosedGate, GpuClaim, QueueState, QueuedRun};

use super::gates::Gates;
use super::{Action, Report, slots, time};

/// Lets runs start in their order, and reports why the others wait.
pub(super) fn start(gates: &mut Gates<'_>, report: &mut Report) -> Vec<Action> {
    let (state, seen) = (gates.state, gates.seen);
    let mut heads = Heads::default();
    let mut actions = Vec::new();
    for run in state.in_order() {
        let closed = heads.closed(gates, run);
        if closed.is_empty() {
            gates.room.take(&run.run, &run.terms, true);
            actions.extend(heads.passed_by(run).map(Action::Change));
            let why = if run.terms.now { "it passes the gates" } else { "every gate is open" };
            actions.push(Action::Start { run: run.run.clone(), why: why.to_owned() });
            continue;
        }
        for gate in &closed {
            time::ask_for_a_look(gate, seen, report);
        }
        heads.consider(gates, run, &closed);
        report.wait(run, closed, state.last.as_ref());
    }
    report.shut = is_shut(gates);
    actions
}

/// Every closed gate of a run when its turn in the order has come, and those before it have taken
/// what is theirs.
pub(super) fn closed_in_turn(gates: &Gates<'_>, asked: &QueuedRun) -> Vec<ClosedGate> {
    let mut gates = Gates::new(gates.state, gates.seen, gates.room.clone());
    let mut heads = Heads::default();
    for run in gates.state.in_order() {
        if run.order() >= asked.order() {
            break;
        }
        if run.run.experiment == asked.run.experiment {
            continue;
        }
        let closed = heads.closed(&gates, run);
        if closed.is_empty() {
            gates.room.take(&run.run, &run.terms, true);
        } else {
            heads.consider(&gates, run, &closed);
        }
    }
    heads.closed(&gates, asked)
}

/// Whether nothing that waits its turn can start now, whatever it claims.
fn is_shut(gates: &Gates<'_>) -> bool {
    let Gates { state, seen, room, .. } = gates;
    state.paused.is_some()
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
    lacks: Lacks,
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
}

/// What a head lacks of the machine.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Lacks {
    memory: bool,
    gpu: bool,
}

impl Lacks {
    /// Whether a run takes of that. What a run without a claim takes of the memory is not known;
    /// it is counted as nothing here as it is in the budget.
    fn is_taken_by(self, run: &QueuedRun) -> bool {
        let claim = run.terms.claim;
        self.memory && claim.memory.is_some() || self.gpu && claim.gpu != GpuClaim::None
    }
}

impl<'a> Heads<'a> {
    /// Every closed gate of a run, its turn included.
    fn closed(&self, gates: &Gates<'_>, run: &QueuedRun) -> Vec<ClosedGate> {
        let mut closed = gates.closed(run);
        if run.terms.now {
            return closed;
        }
        let before =
            self.list.iter().find(|head| head.is_reserved() && head.lacks.is_taken_by(run));
        if let Some(head) = before {
            closed.push(ClosedGate::Turn { of: head.run.run.clone() });
        }
        closed
    }

    /// Takes a run for a head if it is the first that lacks what it lacks, and nothing but that.
    fn consider(&mut self, gates: &Gates<'_>, run: &'a QueuedRun, closed: &[ClosedGate]) {
        let Some(lacks) = lacks_only_room(closed) else { return };
        let fits = gates.memory().can_ever_fit(run.terms.claim.memory);
        let covered = |of: fn(&Lacks) -> bool| self.list.iter().any(|head| of(&head.lacks));
        let new = Lacks {
            memory: lacks.memory && !covered(|lacks| lacks.memory),
            gpu: lacks.gpu && !covered(|lacks| lacks.gpu),
        };
        if fits && (new.memory || new.gpu) && run.state == QueueState::Waiting {
            let memory = new.memory && gates.room.claimed().get() > 0;
            let awaits = memory || new.gpu && gates.room.gpu().next().is_some();
            let at_most = gates.state.settings.bypass();
            self.list.push(Head { run, lacks: new, bypassed: run.bypassed, at_most, awaits });
        }
    }

    /// Counts that a run behind the heads is let start.
    fn passed_by(&mut self, run: &QueuedRun) -> impl Iterator<Item = Change> {
        let passed =
            self.list.iter_mut().filter(|head| !run.terms.now && head.lacks.is_taken_by(run));
        passed.map(|head| {
            head.bypassed = head.bypassed.saturating_add(1);
            head.awaits = true;
            Change::Bypassed { run: head.run.run.clone(), times: head.bypassed }
        })
    }
}

/// What of the machine's room a run lacks, if it lacks nothing else. Slots are room too, but while
/// they are what is missing nobody can pass.
fn lacks_only_room(closed: &[ClosedGate]) -> Option<Lacks> {
    let mut lacks = Lacks { memory: false, gpu: false };
    for gate in closed {
        match gate {
            ClosedGate::Slots { .. } => {}
            ClosedGate::Memory { .. } | ClosedGate::MemoryAvailable { .. } => lacks.memory = true,
            ClosedGate::Gpu { .. } => lacks.gpu = true,
            ClosedGate::Hold { .. }
            | ClosedGate::Paused { .. }
            | ClosedGate::GroupSlots { .. }
            | ClosedGate::MemoryPressure { .. }
            | ClosedGate::Dependency { .. }
            | ClosedGate::NotBefore { .. }
            | ClosedGate::BootGrace { .. }
            | ClosedGate::BackOff { .. }
            | ClosedGate::SameExperiment { .. }
            | ClosedGate::Turn { .. } => return None,
        }
    }
    Some(lacks)
}
