//! Submission of runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bij_core::definition::{ExperimentSpec, SourceFile, SpecOverlay};
use bij_core::port::{DefinitionSource, RunQueue};
use bij_core::queue::{
    Dependency, GroupName, NotBefore, Origin, QueuePosition, QueueState, QueuedRun, RunRef,
    Submission, Terms,
};
use bij_core::request::{QueueEntry, Submit, SubmitOptions};
use bij_core::{ExperimentId, RunId, RunNumber, TimeSpan, Timestamp};

use super::entry_writer::EntryWriter;
use super::{Coordinator, trouble::TroubleSource};
use crate::policy::{Joining, admissible, decide, find_cycle};
use crate::{Now, Ports, RequestError, SubmitRequest};

/// Largest number of runs in one submission: they share a transaction, for which all others wait.
pub const MAX_AT_ONCE: usize = 20_000;
/// Number of added runs after which the map of runs is rebuilt compactly: rarely enough to cost a submission
/// nothing, and early enough to keep memory from fragmenting.
const PACK_EVERY: usize = 1024;

/// Number of definitions kept while one submission is checked: thousands of runs of a few experiments read
/// each definition once, and a sweep with a definition for each run does not keep them all in memory.
const MAX_CACHED_SPECS: usize = 64;

impl<P: Ports> Coordinator<P> {
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
        self.seen.now = now;
        self.catch_up();
        let mut planned: Vec<Submission> = Vec::new();
        let mut plans = Vec::with_capacity(requests.len());
        for request in requests {
            let before = planned.len();
            let SubmitOptions { dry_run } = request.options;
            let plan = self.plan(request, &mut planned);
            if plan.is_err() {
                planned.truncate(before);
            }
            plans.push(match plan {
                Err(error) => Err(error),
                Ok(()) if dry_run => Ok(SubmissionPlan::Preview(planned.split_off(before))),
                Ok(()) => Ok(SubmissionPlan::Submit(planned.len() - before)),
            });
        }
        let mut submitted = self.store_submissions(planned).map(Vec::into_iter);
        let mut answer = |plan| match (plan, &mut submitted) {
            (SubmissionPlan::Preview(submissions), _) => Ok(self.preview(submissions)),
            (SubmissionPlan::Submit(count), Ok(runs)) => Ok(runs.by_ref().take(count).collect()),
            (SubmissionPlan::Submit(_), Err(error)) => Err(error.clone()),
        };
        plans.into_iter().map(|plan| plan.and_then(&mut answer)).collect()
    }

    fn store_submissions(
        &mut self,
        submissions: Vec<Submission>,
    ) -> Result<Vec<QueueEntry>, RequestError> {
        if submissions.is_empty() {
            return Ok(Vec::new());
        }
        let taken = self.adapters.store.submit(&submissions, self.seen.now.at);
        // There can be thousands, and each exists as a run by now.
        drop(submissions);
        match taken {
            Ok(runs) => {
                self.troubles.clear(TroubleSource::Store);
                // Gates are known after the next decision.
                let mut writer = EntryWriter::default();
                let entries = runs.into_iter().map(|run| {
                    let entry = writer.entry(&run, &Arc::default());
                    self.join(run);
                    entry
                });
                Ok(entries.collect())
            }
            Err(error) => {
                self.stale.queue = true;
                self.troubles.record(TroubleSource::Store, &error, self.seen.now);
                Err(RequestError::Store(Arc::new(error)))
            }
        }
    }

    /// Adds a submitted run to the state. If nothing can start anyway, no decision is needed.
    pub(super) fn join(&mut self, run: QueuedRun) {
        let is_shut = self.state.last.as_ref().is_some_and(|report| report.shut);
        if !is_shut || run.terms.now {
            self.undecided = true;
        }
        self.report_is_fresh = false;
        self.seen.others.remove(&RunRef::Newest(run.run.experiment.clone()));
        self.state.runs.insert(run.run.clone(), run);
        if self.state.runs.len().is_multiple_of(PACK_EVERY) {
            self.state.pack();
        }
    }

    /// Checks one caller's request, and adds its runs to `planned`.
    fn plan(
        &mut self,
        request: SubmitRequest,
        planned: &mut Vec<Submission>,
    ) -> Result<(), RequestError> {
        let SubmitRequest { runs, by, options: _ } = request;
        if runs.is_empty() {
            return Err(RequestError::Nothing);
        }
        let free = MAX_AT_ONCE.saturating_sub(planned.len());
        if runs.len() > free {
            return Err(RequestError::TooMany { asked: runs.len(), at_most: free });
        }
        let before = planned.len();
        planned.reserve(runs.len());
        let mut specs: BTreeMap<ExperimentId, ExperimentSpec> = BTreeMap::new();
        for submit in runs {
            let id = &submit.experiment;
            if !specs.contains_key(id) {
                if specs.len() >= MAX_CACHED_SPECS {
                    specs.clear();
                }
                specs.insert(id.clone(), self.definition(id)?);
            }
            let terms = self.terms_for(&submit, &specs[id], &by)?;
            let Submit { experiment, extras, hold, .. } = submit;
            planned.push(Submission {
                experiment,
                terms,
                held: hold.then(|| by.clone()),
                extras,
                by: by.clone(),
                origin: Origin::Submit,
            });
        }
        let (earlier, new) = planned.split_at(before);
        self.check_dependencies(new, earlier)?;
        let joining: Vec<Joining<'_>> = planned
            .iter()
            .map(|it| Joining { run: None, experiment: &it.experiment, after: &it.terms.after })
            .collect();
        Ok(find_cycle(&self.state, &joining)?)
    }

    fn definition(&self, id: &ExperimentId) -> Result<ExperimentSpec, RequestError> {
        let found = self.adapters.definitions.find_without_extras(id);
        found.map(|found| found.spec).map_err(|source| RequestError::Definition {
            experiment: id.clone(),
            source: Arc::new(source),
        })
    }

    /// Returns the definition's terms with the request's laid over them, as far as the caller may change them.
    fn terms_for(
        &self,
        submit: &Submit,
        spec: &ExperimentSpec,
        by: &str,
    ) -> Result<Terms, RequestError> {
        let Submit { experiment, extras, priority, group, after, not_before, delay, hold: _, now } =
            submit;
        let mut terms = self.terms_in(spec);
        if !extras.is_empty() {
            let file = SourceFile::new("extras", extras.as_bytes());
            let overlay = SpecOverlay::parse(file).map_err(|source| RequestError::Extras {
                experiment: experiment.clone(),
                source,
            })?;
            self.check_extras(spec, &overlay, by).map_err(|source| RequestError::DeniedExtra {
                experiment: experiment.clone(),
                by: by.to_owned(),
                source,
            })?;
            let mut spec = spec.clone();
            overlay.apply(&mut spec);
            terms = self.terms_in(&spec);
        }
        terms.priority = priority.unwrap_or(terms.priority);
        if let Some(group) = group {
            self.check_group(group, &terms.group)?;
            terms.group.clone_from(group);
        }
        terms.after = after.clone().unwrap_or(terms.after);
        terms.not_before = self.not_before(*not_before, *delay);
        terms.now = *now;
        self.check_admissible(experiment, &terms)?;
        Ok(terms)
    }

    /// Returns the earliest start that a request sets.
    pub(super) fn not_before(
        &self,
        at: Option<Timestamp>,
        delay: Option<TimeSpan>,
    ) -> Option<NotBefore> {
        let Now { at: now, uptime } = self.seen.now;
        NotBefore::requested(at, delay, self.state.boot, now, uptime)
    }

    pub(super) fn check_admissible(
        &self,
        experiment: &ExperimentId,
        terms: &Terms,
    ) -> Result<(), RequestError> {
        let total = self.seen.sample.memory_total.as_ref().ok().copied();
        admissible(terms, &self.state.settings, total, &self.seen.power)
            .map_err(|source| RequestError::Inadmissible { experiment: experiment.clone(), source })
    }

    /// Checks that a named group is known: a mistyped one would have no limit.
    pub(super) fn check_group(
        &self,
        group: &GroupName,
        of_definition: &GroupName,
    ) -> Result<(), RequestError> {
        let default = GroupName::default();
        if self.is_set_up(group) || *group == default || group == of_definition {
            return Ok(());
        }
        let set_up = self.state.groups.keys().chain(self.state.settings.groups.keys()).cloned();
        let known: BTreeSet<GroupName> = set_up.chain([default]).collect();
        let known = known.into_iter().collect();
        Err(RequestError::NoSuchGroup { name: group.clone(), known })
    }

    /// Checks that the runs that others wait for exist, may be submitted later, or are in the same submission.
    fn check_dependencies(
        &self,
        new: &[Submission],
        earlier: &[Submission],
    ) -> Result<(), RequestError> {
        let mut known: BTreeMap<&RunRef, bool> = BTreeMap::new();
        for submission in new {
            for on in submission.terms.after.iter() {
                let comes_along = |it: &Submission| on.on == RunRef::Newest(it.experiment.clone());
                let exists = match known.get(&on.on) {
                    Some(exists) => *exists,
                    None => new.iter().chain(earlier).any(comes_along) || self.exists(on)?,
                };
                known.insert(&on.on, exists);
                if !exists {
                    let experiment = submission.experiment.clone();
                    return Err(RequestError::UnknownDependency { experiment, on: on.clone() });
                }
            }
        }
        Ok(())
    }

    /// Returns whether the run of a dependency exists, or may be submitted later.
    pub(super) fn exists(&self, on: &Dependency) -> Result<bool, RequestError> {
        let run = self.adapters.store.run_state(&on.on);
        let run = run.map_err(|error| RequestError::Store(Arc::new(error)))?;
        Ok(run.is_some()
            || match &on.on {
                RunRef::Newest(id) => self.adapters.definitions.find(id).is_ok(),
                RunRef::Run(_) => false,
            })
    }

    /// Returns the queue entries that runs would have if they were submitted now.
    fn preview(&self, submissions: Vec<Submission>) -> Vec<QueueEntry> {
        let mut state = self.state.clone();
        let last_place = state.runs.values().map(|run| run.place.0).max().unwrap_or(0);
        let mut runs = Vec::with_capacity(submissions.len());
        for (place, submission) in (last_place.saturating_add(1)..).zip(submissions) {
            let Submission { experiment, terms, held, extras, by, origin } = submission;
            let newest = state.runs_of(&experiment).next_back().map_or(0, |run| run.run.number.0);
            let over = self.highest_ended(&experiment);
            let number = RunNumber(newest.max(over).saturating_add(1));
            let run = QueuedRun {
                run: RunId { experiment, number },
                state: held.map_or(QueueState::Waiting, |by| QueueState::Held { by }),
                terms,
                place: QueuePosition(place),
                bypassed: 0,
                submitted: self.seen.now.at,
                extras,
                by,
                origin,
                stop: None,
            };
            state.runs.insert(run.run.clone(), run.clone());
            runs.push(run);
        }
        let mut report = decide(&state, &self.seen).report;
        let mut writer = EntryWriter::default();
        let entries = runs.into_iter().map(|run| {
            let waiting_on = report.waiting.remove(&run.run).unwrap_or_default();
            writer.entry(&run, &waiting_on)
        });
        entries.collect()
    }

    /// Returns the run number of an experiment's newest attempt; only previews use it.
    fn highest_ended(&self, experiment: &ExperimentId) -> u32 {
        let run = RunId { experiment: experiment.clone(), number: RunNumber(1) };
        let newest = super::catch_up::newest_attempt_of(&self.adapters.store, &run, None);
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
