//! Decides which runs start now and which units stop, from values alone.
//!
//! [`decide`] takes what is known ([`State`]) and what was observed ([`Observation`]) and returns what
//! to do ([`Action`]) and why the other runs wait ([`Report`]). It is a pure function: it has no clock
//! and keeps nothing. A decision is complete, so carrying it out takes no further choice; once it has
//! been [carried out](State::carry_out), the next decision from the same observation has no actions. Only what a decision
//! frees, because a unit is down for good, is given to other runs by the next one.
//!
//! A program that needs no [`Coordinator`](crate::Coordinator) uses the policy alone. It keeps a [`State`], submits
//! runs to it, and starts and stops whatever it likes:
//!
//! ```
//! use bij_coordinator::Now;
//! use bij_coordinator::policy::{Action, Observation, State, SubmitError, decide};
//! use bij_core::port::Sample;
//! use bij_core::queue::{Queue, Submission};
//! use bij_core::{BootId, Bytes, CoordinatorSettings, ExperimentId, Timestamp, Uptime};
//!
//! const GIB: u64 = 1 << 30;
//! let mut settings = CoordinatorSettings::default();
//! settings.max_concurrent = Some(2);
//! settings.total_memory = Some("32G".parse()?);
//! let mut state = State::new(BootId::from_bytes([1; 16]), settings, Queue::default());
//! let now = Now { at: Timestamp::from_micros(0), uptime: Uptime::from_secs(600) };
//! let machine = Sample::new(Bytes::new(64 * GIB), Bytes::new(60 * GIB));
//! let seen = Observation::new(now, machine);
//!
//! for (id, gib) in [("resnet", 20), ("bert", 20), ("probe", 1)] {
//!     let mut submission = Submission::new(ExperimentId::new(id)?, "me");
//!     submission.terms.claim.memory = Some(Bytes::new(gib * GIB));
//!     let run = state.submit(&submission, &seen)?;
//!     println!("{} is at position {}", run.run, run.position.0);
//! }
//! // A run that could never start is refused, instead of waiting as if for room.
//! let mut giant = Submission::new(ExperimentId::new("giant")?, "me");
//! giant.terms.claim.memory = Some(Bytes::new(60 * GIB));
//! assert!(matches!(state.submit(&giant, &seen), Err(SubmitError::Inadmissible { .. })));
//!
//! let decision = decide(&state, &seen);
//! state.carry_out(&decision);
//! let mut started = Vec::new();
//! for action in &decision.actions {
//!     if let Action::Start { run, .. } = action {
//!         // Start its process, thread or container here.
//!         state.unit_started(&run.experiment);
//!         started.push(run.clone());
//!     }
//! }
//! assert_eq!(started.iter().map(ToString::to_string).collect::<Vec<_>>(), ["resnet#1", "probe#1"]);
//! let waiting = &decision.report.waiting[&"bert#1".parse()?];
//! let memory = "claims 20.0G of memory, 12.0G of the budget of 32.0G are free";
//! assert_eq!(waiting[0].gate.to_string(), memory);
//!
//! // Deciding twice starts nothing twice. A run that has ended makes room.
//! assert!(decide(&state, &seen).actions.is_empty());
//! state.run_ended(&started[0]);
//! assert!(matches!(&decide(&state, &seen).actions[..], [Action::Start { .. }]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
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
mod carry_out;
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
mod submit;
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
pub use submit::SubmitError;
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
