//! What is to be done now, decided from values alone.
//!
//! [`decide`] looks at what is known ([`State`]) and at what is seen ([`Observation`]) and says
//! what to do ([`Action`]) and why the rest waits ([`Report`]). It is a function: it has no clock,
//! keeps nothing, and says the same whenever it is asked the same. What it says is complete, so
//! carrying it out takes no further choice; carried out, it says that nothing is left to do.
//!
//! # How runs are chosen
//! Waiting runs are looked at in starting order: priority, then place. One whose gates are all open
//! is started, and what it takes is gone for those behind it. Smaller runs may pass one that lacks
//! only room, but only [so often](bij_core::definition::CoordinatorSettings::max_bypass).
//!
//! # Invariants
//! - What is started by a decision exceeds neither the slots nor the budget, nor shares a GPU that
//!   somebody wants alone. What came from elsewhere is counted, never stopped for it.
//! - Every run that waits and is not started has a reason in the report.
//! - An experiment has one unit, so of its runs one is up at most.

mod action;
mod admissible;
mod cycle;
mod dependency;
mod gates;
mod giving_up;
mod gpu;
mod gpu_memory;
mod health;
mod heat;
mod hold;
mod manager;
mod memory;
mod observation;
mod order;
mod power_mode;
mod recovery;
mod report;
mod room;
mod slots;
mod starting;
mod state;
mod stopping;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod time;

pub use action::{Action, Decision};
pub use admissible::{Inadmissible, admissible};
pub use cycle::{Cycle, Joining, find_cycle};
pub use gpu_memory::GpuUse;
pub use health::{HealthMemory, Vitals};
pub(crate) use heat::reading;
pub use heat::{Warmth, closed_by_heat, put_first};
pub use observation::{LastAttempt, Lost, Observation, Stray, Unreachable};
pub use power_mode::{PowerOffer, PowerSeen, PowerTrouble, PowerWish};
pub(crate) use power_mode::{in_the_way, is_free_for};
pub use recovery::put_back;
pub use report::Report;
pub use starting::{BackOff, MAX_TRIES};
pub use state::{Busy, Interruption, State, StopWish};

use gates::Gates;
use room::Room;

/// Decides what is to be done now.
///
/// Where the service manager cannot be asked nothing is done to units, and no run is taken for lost
/// for that its unit is not known; the report tells so beside all else that keeps runs waiting.
pub fn decide(state: &State, seen: &Observation) -> Decision {
    let (state, mut actions) = recovery::recover(state);
    let state = state.as_ref();
    let mut report = Report::new(state, seen);
    let mut gates = Gates::new(state, seen, Room::taken(state, seen));
    let closed_to_all = manager::closed(seen);
    if seen.unreachable.is_none() {
        actions.extend(heat::put_back(state, seen).into_iter().map(Action::Change));
        let back = gpu_memory::bring_back(state, seen, &mut report);
        actions.extend(back.into_iter().map(Action::Change));
        actions.extend(giving_up::give_up(state, seen, &mut report));
        actions.extend(stopping::stop(state, seen));
        actions.extend(health::check(state, seen, &mut report));
        actions.extend(gpu_memory::guard(state, seen, &mut report));
    }
    if closed_to_all.is_empty() {
        actions.extend(starting::carry_on(state, seen, &mut report));
    } else {
        manager::wait(state, seen, &closed_to_all, &mut report);
    }
    gates.close_to_all(closed_to_all);
    actions.extend(order::start(&mut gates, &mut report));
    Decision { actions, report }
}

/// Every gate that keeps one run from starting now, as if its turn had come, with what it takes of
/// its own accord left out: the question of a start that came from elsewhere.
pub fn closed_gates(
    state: &State,
    seen: &Observation,
    run: &bij_core::queue::QueuedRun,
) -> Vec<bij_core::queue::ClosedGate> {
    let room = Room::taken(state, seen).without(&run.run.experiment);
    let gates = Gates::new(state, seen, room);
    order::closed_in_turn(&gates, run)
}
