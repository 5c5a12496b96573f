//! Submission of runs.

use std::collections::BTreeMap;

use bij_core::queue::{Dependency, Origin, QueuePosition, RunRef, Submission, Terms};
use bij_core::request::{QueueEntry, Submit};
use bij_core::spec::ExperimentSpec;
use bij_core::{ExperimentId, Requester, RunNumber};
use bij_definition::{DeniedExtra, SourceFile, SpecOverlay, check_extras as denied_by_policy};

use super::{check_group, not_before_of};
use crate::entry_writer::EntryWriter;
use crate::policy::{Joining, Observation, State, SubmitError, decide, find_cycle};
use crate::{RequestError, SubmitRequest, terms};

/// Largest number of runs in one submission: they share a transaction, for which all others wait.
pub const MAX_AT_ONCE: usize = 20_000;

/// Number of definitions kept while one submission is checked: thousands of runs of a few experiments read
/// each definition once, and a sweep with a definition for each run does not keep them all in memory.
const MAX_CACHED_SPECS: usize = 64;

/// Checks submissions that share one transaction.
pub(crate) struct SubmissionPlanner<'a> {
    pub(crate) state: &'a State,
    pub(crate) seen: &'a Observation,
    /// User whose own coordinator this is; `None` for the machine's.
    pub(crate) owner: Option<u32>,
    /// Reads the definition of an experiment, without extras.
    pub(crate) definition: &'a dyn Fn(&ExperimentId) -> Result<ExperimentSpec, RequestError>,
    /// Returns whether the run of a dependency exists, or may be submitted later.
    pub(crate) exists: &'a dyn Fn(&Dependency) -> Result<bool, RequestError>,
}

impl SubmissionPlanner<'_> {
    /// Checks one caller's request, and adds its runs to `planned`.
    ///
    /// # Errors
    /// [`RequestError`] if one of them is refused; `planned` then holds some of its runs.
    pub(crate) fn plan(
        &self,
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
                specs.insert(id.clone(), (self.definition)(id)?);
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
        Ok(find_cycle(self.state, &joining).map_err(SubmitError::from)?)
    }

    /// Returns the definition's terms with the request's laid over them, as far as the caller may change them.
    fn terms_for(
        &self,
        submit: &Submit,
        spec: &ExperimentSpec,
        by: &str,
    ) -> Result<Terms, RequestError> {
        let Self { state, seen, owner, .. } = self;
        let Submit { experiment, extras, priority, group, after, not_before, delay, hold: _, now } =
            submit;
        let mut terms = terms::of_definition(spec, &seen.sample);
        if !extras.is_empty() {
            let file = SourceFile::new("extras", extras.as_bytes());
            let overlay = SpecOverlay::parse(file).map_err(|source| RequestError::Extras {
                experiment: experiment.clone(),
                source,
            })?;
            check_extras(state, seen, *owner, spec, &overlay, by).map_err(|source| {
                RequestError::DeniedExtra {
                    experiment: experiment.clone(),
                    by: by.to_owned(),
                    source,
                }
            })?;
            let mut spec = spec.clone();
            overlay.apply(&mut spec);
            terms = terms::of_definition(&spec, &seen.sample);
        }
        terms.priority = priority.unwrap_or(terms.priority);
        if let Some(group) = group {
            check_group(state, group, &terms.group)?;
            terms.group.clone_from(group);
        }
        terms.after = after.clone().unwrap_or(terms.after);
        terms.not_before = not_before_of(state, seen, *not_before, *delay);
        terms.now = *now;
        state.check_admissible(experiment, &terms, seen)?;
        Ok(terms)
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
                    None => new.iter().chain(earlier).any(comes_along) || (self.exists)(on)?,
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
}

/// Judges extras that an account, by its name in the ledger, lays over a definition.
///
/// # Errors
/// [`DeniedExtra`] for the first extra that the account may not add.
pub(crate) fn check_extras(
    state: &State,
    seen: &Observation,
    owner: Option<u32>,
    spec: &ExperimentSpec,
    extras: &SpecOverlay,
    by: &str,
) -> Result<(), DeniedExtra> {
    let requester = Requester::from_name(by, owner);
    let total = seen.sample.memory_total.as_ref().ok().copied();
    denied_by_policy(spec, extras, &requester, &state.settings.policy, total)
}

/// Returns the queue entries that runs would have if they were submitted now. `newest_number` returns the number
/// of an experiment's newest attempt.
pub(crate) fn preview(
    state: &State,
    seen: &Observation,
    submissions: Vec<Submission>,
    newest_number: &dyn Fn(&ExperimentId) -> u32,
) -> Vec<QueueEntry> {
    let mut state = state.clone();
    let first = state.next_position().0;
    let mut runs = Vec::with_capacity(submissions.len());
    for (position, submission) in (first..).map(QueuePosition).zip(submissions) {
        let newest = RunNumber(newest_number(&submission.experiment));
        runs.push(state.enqueue(&submission, newest, position, seen.now.at).clone());
    }
    let mut report = decide(&state, seen).report;
    let mut writer = EntryWriter::default();
    let entries = runs.into_iter().map(|run| {
        let waiting_on = report.waiting.remove(&run.run).unwrap_or_default();
        writer.entry(&run, &waiting_on)
    });
    entries.collect()
}
