//! Runs are taken in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bij_core::definition::{ExperimentSpec, SourceFile, SpecOverlay};
use bij_core::port::{DefinitionSource, RunQueue};
use bij_core::queue::{
    Dependency, GroupName, Origin, Place, QueueState, QueuedRun, RunRef, Submission, Terms,
};
use bij_core::{ExperimentId, RunId, RunNumber};

use super::{Coordinator, trouble::With};
use crate::policy::{Joining, admissible, decide, find_cycle};
use crate::{Listed, Now, Ports, RequestError, Submit, SubmitRequest};

/// So many runs are taken in at once at most: they share a transaction, for which all others wait.
pub const MAX_AT_ONCE: usize = 20_000;
/// The runs are packed whenever there are so many more: rarely enough to cost an addition nothing, and
/// before much of what is given back lies between what is kept.
const PACK_EVERY: usize = 1024;

/// So many definitions are kept while one submission is looked at: thousands of runs of a few
/// experiments read each once, and a sweep, whose runs have a definition each, has them not all at a
/// time.
const SPECS_AT_ONCE: usize = 64;

impl<P: Ports> Coordinator<P> {
    /// Takes runs in for one caller, all or none. What is acknowledged is on the disk.
    ///
    /// # Errors
    /// [`RequestError`] if one of them cannot be taken in; then none is.
    pub fn submit(
        &mut self,
        request: SubmitRequest,
        now: Now,
    ) -> Result<Vec<Listed>, RequestError> {
        let answers = self.submit_together(vec![request], now);
        answers.into_iter().next().unwrap_or(Err(RequestError::Nothing))
    }

    /// Takes runs in for several callers, each of them all or none, in one transaction for all
    /// callers. What is acknowledged is on the disk.
    ///
    /// It takes the same time however many are queued.
    pub fn submit_together(
        &mut self,
        requests: Vec<SubmitRequest>,
        now: Now,
    ) -> Vec<Result<Vec<Listed>, RequestError>> {
        self.seen.now = now;
        self.catch_up();
        let mut planned: Vec<Submission> = Vec::new();
        let mut plans = Vec::with_capacity(requests.len());
        for request in requests {
            let before = planned.len();
            let dry_run = request.dry_run;
            let plan = self.plan(request, &mut planned);
            if plan.is_err() {
                planned.truncate(before);
            }
            plans.push(match plan {
                Err(error) => Err(error),
                Ok(()) if dry_run => Ok(Plan::Look(planned.split_off(before))),
                Ok(()) => Ok(Plan::TakeIn(planned.len() - before)),
            });
        }
        let mut taken_in = self.take_in_submissions(planned).map(Vec::into_iter);
        let mut answer = |plan| match (plan, &mut taken_in) {
            (Plan::Look(submissions), _) => Ok(self.preview(submissions)),
            (Plan::TakeIn(count), Ok(runs)) => Ok(runs.by_ref().take(count).collect()),
            (Plan::TakeIn(_), Err(error)) => Err(error.clone()),
        };
        plans.into_iter().map(|plan| plan.and_then(&mut answer)).collect()
    }

    fn take_in_submissions(
        &mut self,
        submissions: Vec<Submission>,
    ) -> Result<Vec<Listed>, RequestError> {
        if submissions.is_empty() {
            return Ok(Vec::new());
        }
        let taken = self.adapters.store.submit(&submissions, self.seen.now.at);
        // There can be thousands, and each is there once more by now.
        drop(submissions);
        match taken {
            Ok(runs) => {
                self.troubles.gone(With::Store);
                Ok(runs.into_iter().map(|run| self.join(run)).collect())
            }
            Err(error) => {
                self.unseen.queue = true;
                self.troubles.met(With::Store, &error, self.seen.now);
                Err(RequestError::Store(Arc::new(error)))
            }
        }
    }

    /// A run has been taken in. Where nothing can start anyway, nothing has to be decided for it.
    pub(super) fn join(&mut self, run: QueuedRun) -> Listed {
        let is_shut = self.state.last.as_ref().is_some_and(|report| report.shut);
        if !is_shut || run.terms.now {
            self.undecided = true;
        }
        self.report_is_fresh = false;
        self.seen.others.remove(&RunRef::Newest(run.run.experiment.clone()));
        self.state.runs.insert(run.run.clone(), run.clone());
        if self.state.runs.len().is_multiple_of(PACK_EVERY) {
            self.state.pack();
        }
        Listed { run, waiting_on: Arc::default() }
    }

    /// Checks all that one caller wants, and adds it to what is planned already.
    fn plan(
        &mut self,
        request: SubmitRequest,
        planned: &mut Vec<Submission>,
    ) -> Result<(), RequestError> {
        let SubmitRequest { runs, by, dry_run: _ } = request;
        if runs.is_empty() {
            return Err(RequestError::Nothing);
        }
        let room = MAX_AT_ONCE.saturating_sub(planned.len());
        if runs.len() > room {
            return Err(RequestError::TooMany { asked: runs.len(), at_most: room });
        }
        let before = planned.len();
        planned.reserve(runs.len());
        let mut specs: BTreeMap<ExperimentId, ExperimentSpec> = BTreeMap::new();
        for submit in runs {
            let id = &submit.experiment;
            if !specs.contains_key(id) {
                if specs.len() >= SPECS_AT_ONCE {
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

    /// The definition's terms with the request's laid over them, as far as the caller may add them.
    fn terms_for(
        &self,
        submit: &Submit,
        spec: &ExperimentSpec,
        by: &str,
    ) -> Result<Terms, RequestError> {
        let Submit { experiment, extras, priority, group, after, not_before, hold: _, now } =
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
        let Self { state, seen, .. } = self;
        terms.not_before = not_before.map(|when| when.counted_from(state.boot, seen.now));
        terms.now = *now;
        self.check_admissible(experiment, &terms)?;
        Ok(terms)
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

    /// A group that somebody names must be one that is known: a mistyped one would have no limit.
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

    /// What runs wait for must exist, or be defined and so may come, or come along with them.
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

    /// Whether there is, or may come, what is waited for.
    pub(super) fn exists(&self, on: &Dependency) -> Result<bool, RequestError> {
        let run = self.adapters.store.run_state(&on.on);
        let run = run.map_err(|error| RequestError::Store(Arc::new(error)))?;
        Ok(run.is_some()
            || match &on.on {
                RunRef::Newest(id) => self.adapters.definitions.find(id).is_ok(),
                RunRef::Run(_) => false,
            })
    }

    /// What would be reported of runs if they were taken in now.
    fn preview(&self, submissions: Vec<Submission>) -> Vec<Listed> {
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
                place: Place(place),
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
        let listed = runs.into_iter().map(|run| {
            let waiting_on = report.waiting.remove(&run.run).unwrap_or_default();
            Listed { run, waiting_on }
        });
        listed.collect()
    }

    /// The number of an experiment's newest attempt's run; only a preview goes by it.
    fn highest_ended(&self, experiment: &ExperimentId) -> u32 {
        let run = RunId { experiment: experiment.clone(), number: RunNumber(1) };
        let newest = super::catch_up::newest(&self.adapters.store, &run, None);
        newest.ok().flatten().map_or(0, |attempt| attempt.run.number.0)
    }
}

/// What is to be done for one caller.
enum Plan {
    /// Only to be looked at.
    Look(Vec<Submission>),
    /// So many of those that are taken in.
    TakeIn(usize),
}
