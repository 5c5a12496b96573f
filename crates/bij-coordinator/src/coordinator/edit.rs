//! Changes the terms of waiting runs.

use bij_core::port::Change;
use bij_core::queue::{QueuedRun, RunRef};
use bij_core::request::{Edit, RunOutcome};

use super::Coordinator;
use crate::policy::{Joining, find_cycle};
use crate::{Now, Ports, RequestError};

impl<P: Ports> Coordinator<P> {
    /// Changes the terms of a run that waits or is held.
    ///
    /// # Errors
    /// [`RequestError`] if the run no longer waits, or a submission with the new terms would be refused.
    pub fn edit(
        &mut self,
        run: &RunRef,
        edit: &Edit,
        by: &str,
        now: Now,
    ) -> Result<RunOutcome, RequestError> {
        self.seen.now = now;
        self.catch_up();
        let queued = self.queued(run)?.clone();
        self.waiting(&queued)?;
        let QueuedRun { run, mut terms, .. } = queued;
        let Edit { priority, group, after, not_before, delay, any_time, now } = edit;
        if let Some(group) = group {
            self.check_group(group, &terms.group)?;
            terms.group.clone_from(group);
        }
        terms.priority = priority.unwrap_or(terms.priority);
        if *any_time {
            terms.not_before = None;
        } else if let Some(not_before) = self.not_before(*not_before, *delay) {
            terms.not_before = Some(not_before);
        }
        terms.now = now.unwrap_or(terms.now);
        if let Some(after) = after {
            for on in after.iter() {
                if !self.exists(on)? {
                    let experiment = run.experiment.clone();
                    return Err(RequestError::UnknownDependency { experiment, on: on.clone() });
                }
            }
            terms.after.clone_from(after);
            let (experiment, after) = (&run.experiment, &terms.after);
            find_cycle(&self.state, &[Joining { run: Some(&run), experiment, after }])?;
        }
        self.check_admissible(&run.experiment, &terms)?;
        let edit = Change::Edit { run: run.clone(), terms: Box::new(terms), by: by.to_owned() };
        let outcomes = self.change(&[edit]).map_err(RequestError::Store)?;
        let outcome = outcomes.first().copied().unwrap_or(bij_core::Outcome::Unchanged);
        Ok(RunOutcome::new(run, outcome))
    }
}
