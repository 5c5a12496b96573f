//! Answers requests that change the queue: each is planned by a pure function, then carried out.

use std::sync::Arc;

use bij_core::port::{DefinitionSource, RunQueue};
use bij_core::queue::{Dependencies, Dependency, GroupName, QueuedRun, RunRef, Submission};
use bij_core::request::{
    Act, Edit, GroupSetting, PauseRequest, QueueEntry, RunOutcome, SubmitOptions,
};
use bij_core::spec::ExperimentSpec;
use bij_core::{ExperimentId, Outcome, RunId, RunNumber, RunState};

use super::Coordinator;
use super::catch_up::newest_attempt_of;
use crate::entry_writer::EntryWriter;
use crate::plan::{self, Plan, SubmissionPlanner};
use crate::policy::{blocking_run, is_free_for};
use crate::{Now, Ports, RequestError, SubmitRequest};

impl<P: Ports> Coordinator<P> {
    /// Carries out a request for all of these runs, or for none.
    ///
    /// What is acknowledged is in the store. If a unit has to be stopped, the next [`tick`](Self::tick) stops
    /// it; its end is an event.
    ///
    /// # Errors
    /// [`RequestError`] if the request is impossible for one of them; then nothing is changed.
    pub fn act(
        &mut self,
        runs: &[RunRef],
        act: &Act,
        by: &str,
        now: Now,
    ) -> Result<Vec<RunOutcome>, RequestError> {
        self.begin_request(now);
        if runs.is_empty() {
            return Err(RequestError::Nothing);
        }
        let named =
            plan::named(&self.state, runs).map_err(|run| self.error_of_run_not_queued(&run))?;
        let is_unread = |id: &ExperimentId| self.outdated.is_unit_outdated(id);
        let plan = plan::act(&self.state, &self.seen, &is_unread, &named, act, by)?;
        let changed = self.carry_out(plan, by)?;
        let outcomes = named.into_iter().map(|QueuedRun { run, .. }| {
            let outcome = changed.get(&run).copied().unwrap_or(Outcome::Unchanged);
            RunOutcome::new(run, outcome)
        });
        Ok(outcomes.collect())
    }

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
        self.begin_request(now);
        let queued = self.queued(run)?.clone();
        let run = queued.run.clone();
        let mut unknown = None;
        for on in edit.after.iter().flat_map(Dependencies::iter) {
            if !self.exists(on)? {
                unknown = Some(on.clone());
                break;
            }
        }
        let plan = plan::edit(&self.state, &self.seen, queued, edit, unknown, by)?;
        let outcome = self.carry_out_one(&plan)?;
        Ok(RunOutcome::new(run, outcome))
    }

    /// Pauses or resumes the starts of one group or of all runs. Runs that are up continue.
    ///
    /// # Errors
    /// [`RequestError`] if there is no such group, or the store does not take it.
    pub fn pause(
        &mut self,
        request: &PauseRequest,
        by: &str,
        now: Now,
    ) -> Result<Outcome, RequestError> {
        self.begin_request(now);
        let plan = plan::pause(&self.state, request, by, now.at)?;
        self.carry_out_one(&plan)
    }

    /// Sets up a group, or changes its slots. With `None` the settings' number applies, or else the machine's
    /// slots are the only limit.
    ///
    /// # Errors
    /// [`RequestError`] for a group without slots, or if the store does not take it.
    pub fn set_group(
        &mut self,
        setting: &GroupSetting,
        by: &str,
        now: Now,
    ) -> Result<Outcome, RequestError> {
        self.begin_request(now);
        let plan = plan::set_group(&self.state, setting, by)?;
        self.carry_out_one(&plan)
    }

    /// Removes a group; its runs stay, and only the slots of the settings apply.
    ///
    /// # Errors
    /// [`RequestError`] if no operator has set the group up, or the store does not take it.
    pub fn remove_group(
        &mut self,
        name: &GroupName,
        by: &str,
        now: Now,
    ) -> Result<Outcome, RequestError> {
        self.begin_request(now);
        let plan = plan::remove_group(&self.state, name, by)?;
        self.carry_out_one(&plan)
    }

    /// Submits runs for one caller, all or none. What is acknowledged is on the disk.
    ///
    /// # Errors
    /// [`RequestError`] if one of them is refused; then none is queued.
    pub fn submit(
        &mut self,
        request: SubmitRequest,
        now: Now,
    ) -> Result<Vec<QueueEntry>, RequestError> {
        let answers = self.submit_together(vec![request], now);
        answers.into_iter().next().unwrap_or(Err(RequestError::Nothing))
    }

    /// Submits runs for several callers in one transaction, for each caller all or none. What is acknowledged is
    /// on the disk.
    ///
    /// The time does not depend on the length of the queue.
    pub fn submit_together(
        &mut self,
        requests: Vec<SubmitRequest>,
        now: Now,
    ) -> Vec<Result<Vec<QueueEntry>, RequestError>> {
        self.begin_request(now);
        let (plans, submissions) = self.plan_submissions(requests);
        let queued =
            if submissions.is_empty() { Ok(Vec::new()) } else { self.queue_runs(&submissions) };
        // There can be thousands, and each exists as a run by now.
        drop(submissions);
        let mut queued =
            queued.map(Vec::into_iter).map_err(|error| RequestError::Store(Arc::new(error)));
        let mut answer = |plan| match (plan, &mut queued) {
            (SubmissionPlan::Preview(submissions), _) => {
                let newest = |id: &_| self.newest_attempted_number(id);
                Ok(plan::preview(&self.state, &self.seen, submissions, &newest))
            }
            (SubmissionPlan::Submit(count), Ok(runs)) => {
                let mut writer = EntryWriter::default();
                let queued = runs.by_ref().take(count);
                let queued = queued.filter_map(|run| self.state.runs.get(&run));
                Ok(queued.map(|run| writer.entry(run, &Arc::default())).collect())
            }
            (SubmissionPlan::Submit(_), Err(error)) => Err(error.clone()),
        };
        plans.into_iter().map(|plan| plan.and_then(&mut answer)).collect()
    }

    /// Checks the requests of several callers. Returns what is to be done for each, and the runs to submit.
    fn plan_submissions(
        &self,
        requests: Vec<SubmitRequest>,
    ) -> (Vec<Result<SubmissionPlan, RequestError>>, Vec<Submission>) {
        let definition = |id: &_| self.definition(id);
        let exists = |on: &Dependency| self.exists(on);
        let planner = SubmissionPlanner {
            state: &self.state,
            seen: &self.seen,
            owner: self.owner,
            definition: &definition,
            exists: &exists,
        };
        let mut submissions: Vec<Submission> = Vec::new();
        let plan = |request: SubmitRequest| {
            let before = submissions.len();
            let SubmitOptions { dry_run } = request.options;
            match planner.plan(request, &mut submissions) {
                Err(error) => {
                    submissions.truncate(before);
                    Err(error)
                }
                Ok(()) if dry_run => Ok(SubmissionPlan::Preview(submissions.split_off(before))),
                Ok(()) => Ok(SubmissionPlan::Submit(submissions.len() - before)),
            }
        };
        let plans = requests.into_iter().map(plan).collect();
        (plans, submissions)
    }

    /// Asks for permission to switch to the mode that [`power_target`](Self::power_target) names. If it is
    /// granted, no run with another mode starts until [`power`](Self::power) reports the result.
    pub fn begin_power_switch(&mut self, to: u32) -> bool {
        let may = self.power_target().mode == Some(to) && is_free_for(&self.state, &self.seen, to);
        if may {
            self.power_switch_begins(to);
        }
        may
    }

    /// Asks for permission to switch on an operator's request; the same as
    /// [`begin_power_switch`](Self::begin_power_switch), but regardless of the waiting runs.
    ///
    /// # Errors
    /// [`RequestError::PowerInUse`] if a run that is up needs another mode.
    pub fn begin_power_set(&mut self, to: u32) -> Result<(), RequestError> {
        if let Some((run, wanted)) = blocking_run(&self.state, &self.seen, to) {
            return Err(RequestError::PowerInUse { run, wanted });
        }
        self.power_switch_begins(to);
        Ok(())
    }

    fn power_switch_begins(&mut self, to: u32) {
        self.seen.power.switching = Some(to);
        self.outdated.decision();
    }

    /// Applies what others have written, so that a request is planned on what the store holds.
    pub(super) fn begin_request(&mut self, now: Now) {
        self.seen.now = now;
        self.catch_up();
    }

    fn carry_out_one(&mut self, plan: &Plan) -> Result<Outcome, RequestError> {
        let outcomes = self.change(&plan.changes).map_err(RequestError::Store)?;
        Ok(outcomes.first().copied().unwrap_or(Outcome::Unchanged))
    }

    /// Returns the queued run that a reference names.
    pub(super) fn queued(&self, run: &RunRef) -> Result<&QueuedRun, RequestError> {
        self.state.queued(run).ok_or_else(|| self.error_of_run_not_queued(run))
    }

    /// Returns the error of a request for a run that is not in the queue.
    fn error_of_run_not_queued(&self, run: &RunRef) -> RequestError {
        match self.adapters.store.run_state(run) {
            Ok(Some(RunState::Ended(end))) => RequestError::Over { run: run.clone(), end },
            Ok(Some(RunState::Open) | None) => RequestError::NoSuchRun(run.clone()),
            Err(error) => RequestError::Store(Arc::new(error)),
        }
    }

    fn definition(&self, id: &ExperimentId) -> Result<ExperimentSpec, RequestError> {
        let found = self.adapters.definitions.find_without_extras(id);
        found.map(|found| found.spec).map_err(|source| RequestError::Definition {
            experiment: id.clone(),
            source: Arc::new(source),
        })
    }

    /// Returns the run number of an experiment's newest attempt; only previews use it.
    fn newest_attempted_number(&self, experiment: &ExperimentId) -> u32 {
        let run = RunId { experiment: experiment.clone(), number: RunNumber(1) };
        let newest = newest_attempt_of(&self.adapters.store, &run, None);
        newest.ok().flatten().map_or(0, |attempt| attempt.run.number.0)
    }
}

/// Treatment of one caller's request.
enum SubmissionPlan {
    /// A dry run.
    Preview(Vec<Submission>),
    /// This many of the submitted runs.
    Submit(usize),
}
