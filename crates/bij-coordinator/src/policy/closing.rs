//! Closes attempts whose unit is down and whose end is not recorded, because the `end` hook was killed or
//! could not run.

use bij_core::{Attempt, ExperimentId};

use super::{Action, Observation, State};

/// Returns whether an open attempt is unclosed. Attempts of other boots are closed at boot, and an attempt whose
/// unit is up will be closed by its own hook.
pub(crate) fn is_unclosed(attempt: &Attempt, state: &State, seen: &Observation) -> bool {
    attempt.key.boot == state.boot && is_down(&attempt.run.experiment, state, seen)
}

/// Closes the unclosed attempts whose end was found.
pub(super) fn close(state: &State, seen: &Observation) -> Vec<Action> {
    let down = seen.unclosed.iter().filter(|(run, _)| is_down(&run.experiment, state, seen));
    down.map(|(run, end)| Action::Close { run: run.clone(), end: Box::new(end.clone()) }).collect()
}

fn is_down(experiment: &ExperimentId, state: &State, seen: &Observation) -> bool {
    !seen.is_up(experiment)
        && !seen.is_coming_up(experiment)
        && !state.busy.contains_key(experiment)
}
