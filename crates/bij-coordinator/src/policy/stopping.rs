//! Units that are to be stopped: somebody wants it, or their run was taken from under them.

use bij_core::Order;

use super::{Action, Observation, State, StopWish};

/// Who stops a unit whose run was put back or cancelled.
pub(super) const OURSELVES: &str = "the coordinator";

pub(super) fn stop(state: &State, seen: &Observation) -> Vec<Action> {
    let wished = state.stops.iter().filter(|(_, wish)| wish.not_before <= seen.now.uptime);
    let wished = wished.map(|(experiment, StopWish { order, .. })| (experiment, order.clone()));
    let wanted = |by: &String| Order::stop(by.clone());
    let of_runs =
        state.up().filter_map(|run| Some((&run.run.experiment, run.stop.as_ref().map(wanted)?)));
    let of_runs = of_runs.filter(|(experiment, _)| !state.stops.contains_key(*experiment));
    // The wish may have been somebody's whom a coordinator before this one knew.
    let unwanted = seen
        .strays
        .iter()
        .filter(|stray| stray.unwanted && !state.stops.contains_key(&stray.run.experiment));
    let unwanted = unwanted.map(|stray| (&stray.run.experiment, Order::stop(OURSELVES)));
    wished
        .chain(of_runs)
        .chain(unwanted)
        .filter(|(experiment, _)| seen.is_up(experiment) && !state.busy.contains_key(*experiment))
        .map(|(experiment, order)| Action::Stop { experiment: experiment.clone(), order })
        .collect()
}
