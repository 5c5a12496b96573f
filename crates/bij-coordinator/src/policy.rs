//! Decides which runs start now and which units stop, from values alone.
//!
//! [`decide`] takes what is known ([`State`]) and what was observed ([`Observation`]) and returns what
//! to do ([`Action`]) and why the other runs wait ([`Report`]). It is a pure function: it has no clock
//! and keeps nothing. A decision is complete, so carrying it out takes no further choice; once it has
//! been carried out, the next decision has no actions.
//!
//! # How runs are chosen
//! Waiting runs are considered in starting order: by priority, then by position in the queue. A run
//! whose gates are all open is started, and the capacity that it claims is no longer free for the runs
//! behind it. Smaller runs may pass a run that lacks only capacity, but only
//! [a limited number of times](bij_core::CoordinatorSettings::max_bypass).
//!
//! # Invariants
//! - The runs that a decision starts exceed neither the slots nor the memory budget, and share no GPU
//!   that one of them claims exclusively. Units started from elsewhere are counted, but never stopped
//!   to make a decision fit.
//! - Every waiting run that is not started has a reason in the report.
//! - An experiment has one unit, so at most one of its runs is up.

mod action;
mod admissible;
pub(crate) mod admission;
mod capacity;
mod cycle;
mod gates;
mod giving_up;
mod gpu_memory;
mod health;
mod memory;
mod observation;
mod order;
mod power_mode;
pub(crate) mod recovery;
mod report;
mod state;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod thermal;
mod time;
mod unit_orders;

pub use action::{Action, Decision};
pub use admissible::{Inadmissible, admissible};
pub use cycle::{Cycle, Joining, find_cycle};
pub use gpu_memory::GpuUse;
pub use health::{Health, HealthMemory, Vitals};
pub use observation::{LastAttempt, MissingUnit, Observation, Unreachable, UntrackedUnit};
pub use power_mode::{PowerModeOption, PowerModeStatus, PowerModesUnknown, PowerTarget};
pub(crate) use power_mode::{blocking_run, is_free_for};
pub use recovery::{corrections, requeue_interrupted};
pub use report::Report;
pub use state::{Busy, Interruption, State, StopRequest};
pub use thermal::{requeue_first, thermal_gate};
pub use unit_orders::{BackOff, MAX_TRIES};

use capacity::UsedCapacity;
use gates::Gates;

/// Returns what to do now, and why the other runs wait.
///
/// While the service manager is unreachable, no unit is started or stopped, and no run is ended because
/// its unit is unknown; the report lists this next to the other reasons.
pub fn decide(state: &State, seen: &Observation) -> Decision {
    let (state, mut actions) = recovery::recover(state);
    let state = state.as_ref();
    let mut report = Report::new(state, seen);
    let mut gates = Gates::new(state, seen, UsedCapacity::from_observation(state, seen));
    let closed_to_all = gates::closed_to_all(seen);
    if seen.unreachable.is_none() {
        actions.extend(recovery::close(state, seen));
        actions.extend(thermal::requeue_stopped(state, seen).into_iter().map(Action::Change));
        let back = gpu_memory::requeue_stopped(state, seen, &mut report);
        actions.extend(back.into_iter().map(Action::Change));
        actions.extend(giving_up::give_up(state, seen, &mut report));
        actions.extend(unit_orders::stop(state, seen));
        actions.extend(health::check(state, seen, &mut report));
        actions.extend(gpu_memory::guard(state, seen, &mut report));
    }
    if closed_to_all.is_empty() {
        actions.extend(unit_orders::retry(state, seen, &mut report));
    } else {
        unit_orders::report_starting(state, seen, &closed_to_all, &mut report);
    }
    gates.close_to_all(closed_to_all);
    actions.extend(order::start(&mut gates, &mut report));
    Decision { actions, report }
}

/// Returns every gate that keeps `run` from starting now, as if its turn had come. What its experiment
/// takes already is left out. This answers a start that was requested from elsewhere.
pub fn closed_gates(
    state: &State,
    seen: &Observation,
    run: &bij_core::queue::QueuedRun,
) -> Vec<bij_core::queue::ClosedGate> {
    let used = UsedCapacity::from_observation(state, seen).without(&run.run.experiment);
    let gates = Gates::new(state, seen, used);
    order::closed_in_turn(&gates, run)
}
