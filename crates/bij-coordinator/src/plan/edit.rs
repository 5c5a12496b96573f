//! Changes of the terms of waiting runs.

use bij_core::port::Change;
use bij_core::queue::{Dependency, QueuedRun};
use bij_core::request::Edit;

use super::{Plan, check_group, not_before_of, waiting};
use crate::RequestError;
use crate::policy::{Joining, Observation, State, SubmitError, find_cycle};

/// Returns what a change of a run's terms changes. `unknown` is a dependency of the new terms that does not exist.
///
/// # Errors
/// [`RequestError`] if the run no longer waits, or a submission with the new terms would be refused.
pub(crate) fn edit(
    state: &State,
    seen: &Observation,
    run: QueuedRun,
    edit: &Edit,
    unknown: Option<Dependency>,
    by: &str,
) -> Result<Plan, RequestError> {
    waiting(state, &run)?;
    let QueuedRun { run, mut terms, .. } = run;
    let Edit { priority, group, after, not_before, delay, any_time, now } = edit;
    if let Some(group) = group {
        check_group(state, group, &terms.group)?;
        terms.group.clone_from(group);
    }
    terms.priority = priority.unwrap_or(terms.priority);
    if *any_time {
        terms.not_before = None;
    } else if let Some(not_before) = not_before_of(state, seen, *not_before, *delay) {
        terms.not_before = Some(not_before);
    }
    terms.now = now.unwrap_or(terms.now);
    if let Some(on) = unknown {
        return Err(RequestError::UnknownDependency { experiment: run.experiment, on });
    }
    if let Some(after) = after {
        terms.after.clone_from(after);
        let (experiment, after) = (&run.experiment, &terms.after);
        find_cycle(state, &[Joining { run: Some(&run), experiment, after }])
            .map_err(SubmitError::from)?;
    }
    state.check_admissible(&run.experiment, &terms, seen)?;
    Ok(Plan::change(Change::Edit { run, terms: Box::new(terms), by: by.to_owned() }))
}
