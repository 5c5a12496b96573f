//! Starts runs in order, with bounded backfill.
//!
//! Runs start in their order while capacity lasts; smaller runs fill gaps that a larger run cannot use. So
//! that these do not delay it for ever, the first waiting run that claims memory, and the first that claims
//! the GPU, get a *reservation* if they wait for capacity alone: each later start that leaves too little
//! for the reservation is counted, and after `max_bypass` such starts the claimed capacity is kept for its
//! run. A start that leaves enough is not counted and never waits, except that a later run of the same
//! experiment always waits, because it would take the unit.
//!
//! A run that waits for the board's power mode alone gets a reservation that no conflicting run may pass.
//!
//! Starts only use up capacity, so the conditions for a reservation still hold after the starts behind it:
//! within one decision gates may close, but no reservation ends. That is why a decision that has been
//! carried out leaves nothing to start.
use bij_core::port::Change;
use bij_core::queue::{Claim, ClosedGate, GpuClaim, QueuedRun};
use bij_core::{Bytes, ExperimentId};

use super::capacity::UsedCapacity;
use super::gates::Gates;
use super::{Action, Report, State, capacity, time};

/// Starts runs in their order, and reports why the others wait.
pub(super) fn start(gates: &mut Gates<'_>, report: &mut Report) -> Vec<Action> {
    let (state, seen) = (gates.state, gates.seen);
    let mut reservations = Reservations::default();
    let mut actions = Vec::new();
    for run in evaluation_order(state) {
        let closed = reservations.closed(gates, run);
        if closed.is_empty() {
            actions.extend(reservations.count_bypasses(gates, run).into_iter().map(Action::Change));
            gates.used.take(&run.run, &run.terms, true);
            gates.power.take(run);
            let why = if run.terms.now { "it passes the gates" } else { "every gate is open" };
            let (from, why) = (run.state.clone(), why.to_owned());
            actions.push(Action::Start { run: run.run.clone(), from, why });
            continue;
        }
        for gate in &closed {
            time::schedule_next_decision(gate, seen, report);
        }
        reservations.consider(gates, run, &closed);
        report.wait(run, closed, state.last.as_ref());
    }
    report.power_target = gates.power.target(state, seen);
    report.shut = is_closed_to_waiting(gates);
    actions
}

/// Returns every closed gate of a run as if its turn had come, after the runs before it have taken their
/// share.
pub(super) fn closed_in_turn(gates: &Gates<'_>, target: &QueuedRun) -> Vec<ClosedGate> {
    let mut gates = Gates::new(gates.state, gates.seen, gates.used.clone());
    let mut reservations = Reservations::default();
    for run in evaluation_order(gates.state) {
        let turn = |run: &QueuedRun| !run.terms.now;
        let is_before = turn(run).cmp(&turn(target)).then_with(|| run.order().cmp(&target.order()));
        if is_before.is_ge() || run.run.experiment == target.run.experiment {
            continue;
        }
        let closed = reservations.closed(&gates, run);
        if closed.is_empty() {
            reservations.count_bypasses(&gates, run);
            gates.used.take(&run.run, &run.terms, true);
            gates.power.take(run);
        } else {
            reservations.consider(&mut gates, run, &closed);
        }
    }
    reservations.closed(&gates, target)
}

/// Returns the waiting and held runs in the order in which they are considered: runs that pass the gates
/// come first, because they wait for no turn and their claims are not available to the others.
fn evaluation_order(state: &State) -> impl Iterator<Item = &QueuedRun> {
    let order = state.in_order();
    let (urgent, others): (Vec<_>, Vec<_>) = order.into_iter().partition(|run| run.terms.now);
    urgent.into_iter().chain(others)
}

/// Returns whether no run that waits for its turn can start now, whatever it claims.
fn is_closed_to_waiting(gates: &Gates<'_>) -> bool {
    let Gates { state, seen, used, .. } = gates;
    gates.is_closed_to_all()
        || state.paused.is_some()
        || capacity::machine_slots(state, used).is_some()
        || gates.memory().pressed().is_some()
        || time::boot_grace(state, seen).is_some()
}

/// Runs that smaller runs may pass only a limited number of times.
#[derive(Default)]
struct Reservations<'a> {
    list: Vec<Reservation<'a>>,
}

struct Reservation<'a> {
    run: &'a QueuedRun,
    /// Its run is the first that claims memory.
    holds_memory: bool,
    /// Its run is the first that claims the GPU.
    holds_gpu: bool,
    /// The board's power mode is reserved for its run, which waits for nothing else but the turn of others.
    holds_power_mode: bool,
    /// Number of counted starts that have passed it.
    bypassed: u32,
}

impl Reservation<'_> {
    /// Returns whether the claimed capacity is kept for its run.
    fn is_reserved(&self, gates: &Gates<'_>) -> bool {
        let bypasses_are_used_up = self.bypassed >= gates.state.settings.bypass();
        self.holds_power_mode || bypasses_are_used_up && self.awaits_release(&gates.used)
    }

    /// Returns whether a unit that is up will free what its run claims. Memory that other processes use is not
    /// waited for, because the machine would stay idle.
    fn awaits_release(&self, used: &UsedCapacity) -> bool {
        let Claim { memory, gpu } = self.run.terms.claim;
        memory.is_some() && used.claimed() > Bytes::default()
            || capacity::gpu_in_use(gpu, used).is_some()
    }

    /// Returns whether too little is left for its run once `run` has started. The memory use of a run without
    /// a claim is unknown; it counts as zero, as in the budget.
    fn is_blocked_by(&self, gates: &Gates<'_>, run: &QueuedRun) -> bool {
        let (own, other) = (self.run.terms.claim, run.terms.claim);
        let takes_memory = || {
            let taken = other.memory;
            taken
                .is_some_and(|taken| gates.memory().is_short_beside(own.memory, taken, &gates.used))
        };
        // A reservation of the board keeps all that its run claims: passed by, it would end.
        (self.holds_memory || self.holds_power_mode) && takes_memory()
            || (self.holds_gpu || self.holds_power_mode)
                && capacity::gpu_claims_clash(own.gpu, other.gpu)
            || self.holds_power_mode
                && capacity::is_last_of_group(self.run, run, gates.state, &gates.used)
    }

    fn is_for(&self, experiment: &ExperimentId) -> bool {
        self.run.run.experiment == *experiment
    }

    /// Returns whether `run` has to wait until the run of this reservation has started.
    fn must_precede(&self, gates: &Gates<'_>, run: &QueuedRun) -> bool {
        self.is_for(&run.run.experiment)
            || self.is_reserved(gates) && self.is_blocked_by(gates, run)
    }
}

impl<'a> Reservations<'a> {
    /// Returns every closed gate of a run, including its turn.
    fn closed(&self, gates: &Gates<'_>, run: &QueuedRun) -> Vec<ClosedGate> {
        let mut closed = gates.closed(run);
        if run.terms.now {
            return closed;
        }
        let before = self.list.iter().find(|reservation| reservation.must_precede(gates, run));
        if let Some(reservation) = before {
            closed.push(ClosedGate::Turn { of: reservation.run.run.clone() });
        }
        closed
    }

    /// Adds a reservation for a run that cannot start yet, if it waits for capacity alone and is the first to
    /// claim memory or the GPU, or if the board's power mode is reserved for it.
    fn consider(&mut self, gates: &mut Gates<'a>, run: &'a QueuedRun, closed: &[ClosedGate]) {
        // It waits for the unit, which goes to the earlier run of its experiment.
        let is_second = self.list.iter().any(|reservation| reservation.is_for(&run.run.experiment));
        if is_second || !gates.memory().can_ever_fit(run.terms.claim.memory) {
            return;
        }
        let holds_power_mode = lacks_only_power_mode(closed) && gates.power.reserve_for(run);
        if !holds_power_mode && !lacks_only_capacity(closed) {
            return;
        }
        let Claim { memory, gpu } = run.terms.claim;
        let holds_memory =
            memory.is_some() && !self.list.iter().any(|reservation| reservation.holds_memory);
        let holds_gpu =
            gpu != GpuClaim::None && !self.list.iter().any(|reservation| reservation.holds_gpu);
        if holds_memory || holds_gpu || holds_power_mode {
            let bypassed = run.bypassed;
            self.list.push(Reservation {
                run,
                holds_memory,
                holds_gpu,
                holds_power_mode,
                bypassed,
            });
        }
    }

    /// Counts the start of a run behind the reservations; call it before the run takes its capacity.
    fn count_bypasses(&mut self, gates: &Gates<'_>, run: &QueuedRun) -> Vec<Change> {
        let mut counted = Vec::new();
        if run.terms.now {
            return counted;
        }
        for reservation in
            self.list.iter_mut().filter(|reservation| reservation.is_blocked_by(gates, run))
        {
            reservation.bypassed = reservation.bypassed.saturating_add(1);
            counted.push(Change::Bypassed {
                run: reservation.run.run.clone(),
                times: reservation.bypassed,
            });
        }
        counted
    }
}

/// Returns whether a run waits for the board's power mode and for nothing else but the turn of others.
fn lacks_only_power_mode(closed: &[ClosedGate]) -> bool {
    let is_mode_or_turn =
        |gate: &ClosedGate| matches!(gate, ClosedGate::PowerMode { .. } | ClosedGate::Turn { .. });
    closed.iter().all(is_mode_or_turn)
        && closed.iter().any(|gate| matches!(gate, ClosedGate::PowerMode { .. }))
}

/// Returns whether a run waits for capacity and for nothing else. A slot of the machine is capacity too, but
/// while a run lacks that alone, no other run can pass it.
fn lacks_only_capacity(closed: &[ClosedGate]) -> bool {
    let is_capacity = |gate: &ClosedGate| match gate {
        ClosedGate::Slots { .. }
        | ClosedGate::GroupSlots { .. }
        | ClosedGate::Memory { .. }
        | ClosedGate::MemoryAvailable { .. }
        | ClosedGate::Gpu { .. }
        // A run that waits for another's turn lacks capacity that is reserved for that one.
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
    closed.iter().all(is_capacity)
        && closed.iter().any(|gate| !matches!(gate, ClosedGate::Slots { .. }))
}
