//! Writes the definitions that a submission needs.

use std::thread;

use bij_core::port::{DefinitionSource as _, FindError};
use bij_core::{ExperimentId, Outcome};
use bij_definition::{Definitions, SubmitError, to_toml};

use super::plan::{DefinitionState, PlannedRun};
use crate::context::Context;
use crate::error::{CliError, Kind};

/// The number of threads that write definitions. Each file is synced, and disks sync many files at once as fast
/// as one; their directory is synced once at the end.
const WRITERS: usize = 16;

/// The definitions of a submission.
pub(super) struct WrittenDefinitions {
    ids: Vec<ExperimentId>,
    /// The experiments that were not defined before.
    new: Vec<ExperimentId>,
}

/// An experiment that is defined now.
struct DefinedExperiment {
    id: ExperimentId,
    /// Whether it was not defined before.
    is_new: bool,
}

impl WrittenDefinitions {
    /// Returns the id of each planned run, in the same order.
    pub(super) fn ids(&self) -> &[ExperimentId] {
        &self.ids
    }

    /// Removes the new definitions, because no run was submitted.
    pub(super) fn remove_new(self, context: &Context) {
        for id in self.new {
            // A definition that cannot be removed is valid; `bij list` shows it.
            let _ = context.definitions().withdraw(&id);
        }
    }
}

/// Writes every definition that does not exist yet, or none.
pub(super) fn define(
    context: &Context,
    planned: &[PlannedRun],
) -> Result<WrittenDefinitions, CliError> {
    let mut written =
        WrittenDefinitions { ids: Vec::with_capacity(planned.len()), new: Vec::new() };
    let mut first = None;
    for result in define_in_threads(context.definitions(), planned)? {
        match result {
            Ok(DefinedExperiment { id, is_new }) => {
                written.new.extend(is_new.then(|| id.clone()));
                written.ids.push(id);
            }
            Err(error) => first = first.or(Some(error)),
        }
    }
    let settled = match first {
        None if planned.iter().any(|run| run.definition == DefinitionState::Named) => {
            context.definitions().sync_submitted()
        }
        None => Ok(()),
        Some(error) => Err(error),
    };
    match settled {
        Ok(()) => Ok(written),
        Err(error) => {
            written.remove_new(context);
            Err(error.into())
        }
    }
}

/// Writes the definitions in several threads and returns the results in the given order. A thread stops at its
/// first error.
fn define_in_threads(
    definitions: &Definitions,
    planned: &[PlannedRun],
) -> Result<Vec<Result<DefinedExperiment, SubmitError>>, CliError> {
    let share = planned.len().div_ceil(WRITERS).max(1);
    let write = |part: &[PlannedRun]| {
        let mut results = Vec::with_capacity(part.len());
        for run in part {
            let result = define_one(definitions, run);
            let failed = result.is_err();
            results.push(result);
            if failed {
                break;
            }
        }
        results
    };
    thread::scope(|scope| {
        let writers: Vec<_> =
            planned.chunks(share).map(|part| scope.spawn(move || write(part))).collect();
        let mut all = Vec::with_capacity(planned.len());
        for writer in writers {
            let panicked = |_| CliError::new(Kind::Internal, "a definition could not be written");
            all.extend(writer.join().map_err(panicked)?);
        }
        Ok(all)
    })
}

fn define_one(
    definitions: &Definitions,
    run: &PlannedRun,
) -> Result<DefinedExperiment, SubmitError> {
    let id = run.spec.id.clone();
    Ok(match run.definition {
        DefinitionState::Existing => DefinedExperiment { id, is_new: false },
        DefinitionState::Unnamed => {
            let id = definitions.submit_ad_hoc(run.spec.clone())?.id;
            DefinedExperiment { id, is_new: true }
        }
        DefinitionState::Named => {
            let is_missing = matches!(definitions.find(&id), Err(FindError::Missing { .. }));
            let outcome = definitions.submit_without_sync(&id, &to_toml(&run.spec))?;
            DefinedExperiment { id, is_new: is_missing && outcome == Outcome::Changed }
        }
    })
}
