//! Writes the definitions that a submission needs.

use bij_core::port::{DefinitionSource as _, FindError};
use bij_core::{ExperimentId, Outcome};
use bij_definitions::SubmitError;

use super::plan::{Defined, Planned};
use crate::context::Context;
use crate::error::CliError;

/// The experiments of a submission, and which of them are new.
pub(super) struct Definitions {
    ids: Vec<ExperimentId>,
    new: Vec<ExperimentId>,
}

impl Definitions {
    /// One an entry of what was planned, in its order.
    pub(super) fn ids(&self) -> &[ExperimentId] {
        &self.ids
    }

    /// Removes those that nobody had before: nothing was submitted.
    pub(super) fn take_back(self, context: &Context) {
        for id in self.new {
            // What stays behind is a definition that was right; `bij list` shows it.
            let _ = context.definitions().withdraw(&id);
        }
    }
}

/// Takes in every definition that is not there, or none.
pub(super) fn define(context: &Context, planned: &[Planned]) -> Result<Definitions, CliError> {
    let mut made = Definitions { ids: Vec::with_capacity(planned.len()), new: Vec::new() };
    for one in planned {
        match define_one(context, one) {
            Ok((id, new)) => {
                made.new.extend(new.then(|| id.clone()));
                made.ids.push(id);
            }
            Err(error) => {
                made.take_back(context);
                return Err(error.into());
            }
        }
    }
    Ok(made)
}

/// The id, and whether nobody had it before.
fn define_one(context: &Context, one: &Planned) -> Result<(ExperimentId, bool), SubmitError> {
    let definitions = context.definitions();
    let id = &one.spec.id;
    match one.defined {
        Defined::Already => Ok((id.clone(), false)),
        Defined::Unnamed => Ok((definitions.submit_ad_hoc(one.spec.clone())?.id, true)),
        Defined::Named => {
            let missing = matches!(definitions.find(id), Err(FindError::Missing { .. }));
            let outcome = definitions.submit(id, &one.spec.to_toml())?;
            Ok((id.clone(), missing && outcome == Outcome::Changed))
        }
    }
}
