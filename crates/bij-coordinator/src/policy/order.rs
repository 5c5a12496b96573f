//! Whose turn it is.
//!
//! Runs are let start in their order as long as there is room; smaller ones fill the gaps that a
//! larger one cannot use. So that these do not keep it waiting for ever, the first waiting run that
//! wants memory, and the first that wants the GPU, are *heads* if they wait for room and nothing else:
//! each start behind a head that leaves it too little is counted, and after `max_bypass` of them what
//! it claims is kept for it. A start that leaves a head enough costs it nothing and never waits for it;
//! but another run of its experiment does, because that would take its unit.
//!
//! A run that waits for the board's power mode alone is a head that is not passed at all.
//!
//! Starts take room and give none back, so whatever makes a run a head still holds after the starts
//! behind it: which gates are closed may grow within a decision, but no head ceases to be one. That is
//! why a decision that is carried out leaves nothing to start.

use bij_core::port::Change;
use bij_core::queue::{Claim, ClosedGate, GpuClaim, QueuedRun};
use bij_core::{Bytes, ExperimentId};

use super::gates::Gates;
use super::room::Room;
use super::{Action, Report, State, gpu, slots, time};

/// Lets runs start in their order, and reports why the others wait.
pub(super) fn start(gates: &mut Gates<'_>, report: &mut Report) -> Vec<Action> {
    let (state, seen) = (gates.state, gates.seen);
    let mut heads = Heads::default();
    let mut actions = Vec::new();
    for run in turns(state) {
        let closed = heads.closed(gates, run);
        if closed.is_empty() {
            actions.extend(heads.passed_by(gates, run).into_iter().map(Action::Change));
            gates.room.take(&run.run, &run.terms, true);
            gates.power.take(run);
            let why = if run.terms.now { "it passes the gates" } else { "every gate is open" };
            let (from, why) = (run.state.clone(), why.to_owned());
            actions.push(Action::Start { run: run.run.clone(), from, why });
            continue;
        }
        for gate in &closed {
            time::ask_for_a_look(gate, seen, report);
        }
        heads.consider(gates, run, &closed);
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
            heads.passed_by(&gates, run);
            gates.room.take(&run.run, &run.terms, true);
            gates.power.take(run);
        } else {
            heads.consider(&mut gates, run, &closed);
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
    /// The board is kept for it, and it waits for nothing but that and the turn of others.
    of_board: bool,
    /// How often it was passed by now.
    bypassed: u32,
}

impl Head<'_> {
    /// Whether what it claims is kept for it.
    fn is_reserved(&self, gates: &Gates<'_>) -> bool {
        let is_passed_no_more = self.bypassed >= gates.state.settings.bypass();
        self.of_board || is_passed_no_more && self.awaits(&gates.room)
    }

    /// Whether anything that is up will give back what it wants. Memory that others than experiments
    /// use is not waited for with an idle machine.
    fn awaits(&self, room: &Room) -> bool {
        let Claim { memory, gpu } = self.run.terms.claim;
        memory.is_some() && room.claimed() > Bytes::default() || gpu::closed(gpu, room).is_some()
    }

    /// Whether too little of what it wants is left once a run has started. What a run without a claim
    /// takes of the memory is not known; it counts as nothing here as it does in the budget.
    fn is_hindered_by(&self, gates: &Gates<'_>, run: &QueuedRun) -> bool {
        let (own, other) = (self.run.terms.claim, run.terms.claim);
        let takes_memory = || {
            let taken = other.memory;
            taken
                .is_some_and(|taken| gates.memory().is_short_beside(own.memory, taken, &gates.room))
        };
        // A head of the board keeps everything that it claims: passed by, it would no longer be one.
        (self.of_memory || self.of_board) && takes_memory()
            || (self.of_gpu || self.of_board) && gpu::clash(own.gpu, other.gpu)
            || self.of_board && slots::is_last_of_group(self.run, run, gates.state, &gates.room)
    }

    fn is_of(&self, experiment: &ExperimentId) -> bool {
        self.run.run.experiment == *experiment
    }

    /// Whether a run has to wait until this one has started.
    fn keeps_waiting(&self, gates: &Gates<'_>, run: &QueuedRun) -> bool {
        self.is_of(&run.run.experiment)
            || self.is_reserved(gates) && self.is_hindered_by(gates, run)
    }
}

impl<'a> Heads<'a> {
    /// Every closed gate of a run, its turn included.
    fn closed(&self, gates: &Gates<'_>, run: &QueuedRun) -> Vec<ClosedGate> {
        let mut closed = gates.closed(run);
        if run.terms.now {
            return closed;
        }
        let before = self.list.iter().find(|head| head.keeps_waiting(gates, run));
        if let Some(head) = before {
            closed.push(ClosedGate::Turn { of: head.run.run.clone() });
        }
        closed
    }

    /// Takes a run that cannot start yet for a head if it waits for its room and is the first that
    /// wants something, or if the board is kept for it.
    fn consider(&mut self, gates: &mut Gates<'a>, run: &'a QueuedRun, closed: &[ClosedGate]) {
        // Behind an earlier run of its experiment it waits for the unit, which that one gets first.
        let is_second = self.list.iter().any(|head| head.is_of(&run.run.experiment));
        if is_second || !gates.memory().can_ever_fit(run.terms.claim.memory) {
            return;
        }
        let of_board = lacks_only_the_mode(closed) && gates.power.keep_for(run);
        if !of_board && !lacks_only_room(closed) {
            return;
        }
        let Claim { memory, gpu } = run.terms.claim;
        let of_memory = memory.is_some() && !self.list.iter().any(|head| head.of_memory);
        let of_gpu = gpu != GpuClaim::None && !self.list.iter().any(|head| head.of_gpu);
        if of_memory || of_gpu || of_board {
            let bypassed = run.bypassed;
            self.list.push(Head { run, of_memory, of_gpu, of_board, bypassed });
        }
    }

    /// Counts that a run behind the heads is let start; it has not taken its room yet.
    fn passed_by(&mut self, gates: &Gates<'_>, run: &QueuedRun) -> Vec<Change> {
        let mut counted = Vec::new();
        if run.terms.now {
            return counted;
        }
        for head in self.list.iter_mut().filter(|head| head.is_hindered_by(gates, run)) {
            head.bypassed = head.bypassed.saturating_add(1);
            counted.push(Change::Bypassed { run: head.run.run.clone(), times: head.bypassed });
        }
        counted
    }
}

/// Whether a run waits for the mode of the board and for nothing else but the turn of others.
fn lacks_only_the_mode(closed: &[ClosedGate]) -> bool {
    let is_mode_or_turn =
        |gate: &ClosedGate| matches!(gate, ClosedGate::PowerMode { .. } | ClosedGate::Turn { .. });
    closed.iter().all(is_mode_or_turn)
        && closed.iter().any(|gate| matches!(gate, ClosedGate::PowerMode { .. }))
}

/// Whether a run waits for room on the machine and for nothing else. A slot of the machine is room too,
/// but while that alone is what a run lacks, no other can pass it.
fn lacks_only_room(closed: &[ClosedGate]) -> bool {
    let is_room = |gate: &ClosedGate| match gate {
        ClosedGate::Slots { .. }
        | ClosedGate::GroupSlots { .. }
        | ClosedGate::Memory { .. }
        | ClosedGate::MemoryAvailable { .. }
        | ClosedGate::Gpu { .. }
        // A run that waits for the turn of another lacks what is kept for that one.
        | ClosedGate::Turn { .. } => true,
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
        | ClosedGate::SameExperiment { .. }
        | ClosedGate::Unit => false,
    };
    closed.iter().all(is_room)
        && closed.iter().any(|gate| !matches!(gate, ClosedGate::Slots { .. }))
}
