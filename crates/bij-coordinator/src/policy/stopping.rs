//! Units that are to be stopped: somebody wants it, or their run was taken from under them.

use super::{Action, Observation, State, StopWish};

/// Who stops a unit whose run was put back or cancelled.
const OURSELVES: &str = "the coordinator";

pub(super) fn stop(state: &State, seen: &Observation) -> Vec<Action> {
    let wished = state.stops.iter().filter(|(_, wish)| wish.not_before <= seen.now.uptime);
    let wished = wished.map(|(experiment, StopWish { by, .. })| (experiment, by.as_str()));
    let of_runs = state.up().filter_map(|run| Some((&run.run.experiment, run.stop.as_deref()?)));
    let of_runs = of_runs.filter(|(experiment, _)| !state.stops.contains_key(*experiment));
    // The wish may have been somebody's whom a coordinator before this one knew.
    let unwanted = seen
        .strays
        .iter()
        .filter(|stray| stray.unwanted && !state.stops.contains_key(&stray.run.experiment));
    let unwanted = unwanted.map(|stray| (&stray.run.experiment, OURSELVES));
    wished
        .chain(of_runs)
        .chain(unwanted)
        .filter(|(experiment, _)| seen.is_up(experiment) && !state.busy.contains_key(*experiment))
        .map(|(experiment, by)| Action::Stop { experiment: experiment.clone(), by: by.to_owned() })
        .collect()
}
