//! Stops units whose stop was requested, or whose run was requeued or cancelled.

use bij_core::Order;

use super::{Action, Observation, State, StopRequest};

/// Requester of a stop that follows a requeue or a cancellation.
pub(super) const OURSELVES: &str = "the coordinator";

pub(super) fn stop(state: &State, seen: &Observation) -> Vec<Action> {
    let wished = state.stops.iter().filter(|(_, wish)| wish.not_before <= seen.now.uptime);
    let wished = wished.map(|(experiment, StopRequest { order, .. })| (experiment, order.clone()));
    let wanted = |by: &String| Order::stop(by.clone());
    let of_runs =
        state.up().filter_map(|run| Some((&run.run.experiment, run.stop.as_ref().map(wanted)?)));
    let of_runs = of_runs.filter(|(experiment, _)| !state.stops.contains_key(*experiment));
    // The requester may be known only to an earlier coordinator.
    let unwanted = seen.untracked_units.iter().filter(|untracked| {
        untracked.unwanted && !state.stops.contains_key(&untracked.run.experiment)
    });
    let unwanted = unwanted.map(|untracked| (&untracked.run.experiment, Order::stop(OURSELVES)));
    wished
        .chain(of_runs)
        .chain(unwanted)
        .filter(|(experiment, _)| seen.is_up(experiment) && !state.busy.contains_key(*experiment))
        .map(|(experiment, order)| Action::Stop { experiment: experiment.clone(), order })
        .collect()
}
