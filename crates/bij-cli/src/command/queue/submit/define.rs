//! Writes the definitions that a submission needs.

use std::thread;

use bij_core::port::{DefinitionSource as _, FindError};
use bij_core::{ExperimentId, Outcome};
use bij_definitions::{Definitions, SubmitError};

use super::plan::{Defined, Planned};
use crate::context::Context;
use crate::error::{CliError, Kind};

/// A sweep is written by several hands: each file is synced, and disks sync many at once as fast as
/// one. What their directory holds is synced once for all.
const HANDS: usize = 16;

/// The experiments of a submission, and which of them are new.
pub(super) struct Written {
    ids: Vec<ExperimentId>,
    new: Vec<ExperimentId>,
}

/// An experiment that is defined now, and whether nobody had it before.
type One = (ExperimentId, bool);

impl Written {
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
pub(super) fn define(context: &Context, planned: &[Planned]) -> Result<Written, CliError> {
    let mut written = Written { ids: Vec::with_capacity(planned.len()), new: Vec::new() };
    let mut first = None;
    for done in by_several_hands(context.definitions(), planned)? {
        match done {
            Ok((id, new)) => {
                written.new.extend(new.then(|| id.clone()));
                written.ids.push(id);
            }
            Err(error) => first = first.or(Some(error)),
        }
    }
    let settled = match first {
        None if planned.iter().any(|one| one.defined == Defined::Named) => {
            context.definitions().sync_submitted()
        }
        None => Ok(()),
        Some(error) => Err(error),
    };
    match settled {
        Ok(()) => Ok(written),
        Err(error) => {
            written.take_back(context);
            Err(error.into())
        }
    }
}

/// Each result in the order of what was planned; a hand that fails writes no more.
fn by_several_hands(
    definitions: &Definitions,
    planned: &[Planned],
) -> Result<Vec<Result<One, SubmitError>>, CliError> {
    let share = planned.len().div_ceil(HANDS).max(1);
    let work = |part: &[Planned]| {
        let mut done = Vec::with_capacity(part.len());
        for one in part {
            let result = define_one(definitions, one);
            let failed = result.is_err();
            done.push(result);
            if failed {
                break;
            }
        }
        done
    };
    thread::scope(|scope| {
        let hands: Vec<_> =
            planned.chunks(share).map(|part| scope.spawn(move || work(part))).collect();
        let mut all = Vec::with_capacity(planned.len());
        for hand in hands {
            let panicked = |_| CliError::new(Kind::Internal, "a definition could not be written");
            all.extend(hand.join().map_err(panicked)?);
        }
        Ok(all)
    })
}

fn define_one(definitions: &Definitions, one: &Planned) -> Result<One, SubmitError> {
    let id = &one.spec.id;
    match one.defined {
        Defined::Already => Ok((id.clone(), false)),
        Defined::Unnamed => Ok((definitions.submit_ad_hoc(one.spec.clone())?.id, true)),
        Defined::Named => {
            let missing = matches!(definitions.find(id), Err(FindError::Missing { .. }));
            let outcome = definitions.submit_without_sync(id, &one.spec.to_toml())?;
            Ok((id.clone(), missing && outcome == Outcome::Changed))
        }
    }
}
