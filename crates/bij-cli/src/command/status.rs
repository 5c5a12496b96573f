//! `bij status`: the state of experiments, with their last log lines.

use bij_core::port::{DefinitionSource as _, FindError};
use bij_core::{ActiveState, ExperimentId, UnitStatus};

use crate::args::{IdArg, MaybeIdsArgs};
use crate::context::Context;
use crate::error::CliError;
use crate::facts;
use crate::log_source::kept_lines;
use crate::view::{DefinitionInfo, ExperimentFacts, Status, StatusPage, StatusPages};
use crate::waiting_runs;

/// The number of log lines, as in `systemctl status`.
const LAST_LINES: usize = 10;

/// Shows the given experiments, or all.
pub(crate) async fn status(context: &Context, args: &MaybeIdsArgs) -> Result<(), CliError> {
    let ids: Vec<ExperimentId> = args.ids.iter().map(|IdArg(id)| id.clone()).collect();
    let named = !ids.is_empty();
    let mut found =
        if named { facts::read(context, &ids).await } else { facts::read_all(context).await? };
    if !named {
        facts::add_unit_details(context, &mut found).await;
    }
    waiting_runs::add(context, &mut found).await;
    let (found, missing) =
        if named { partition(context, found).await } else { (found, Vec::new()) };
    let mut pages = Vec::new();
    for facts in found {
        pages.push(page(context, facts, named));
    }
    if pages.is_empty() && missing.is_empty() {
        context.terminal.status("No experiments.");
    }
    match (pages.len(), ids.len()) {
        // A single experiment that is given by name is an object in JSON, not an array.
        (1, 1) => pages.pop().map_or(Ok(()), |page| context.terminal.show(&page))?,
        (0, 1) => {}
        _ => context.terminal.show(&StatusPages(pages))?,
    }
    missing.into_iter().next().map_or(Ok(()), Err)
}

/// Returns the experiments that exist, and an error for each of the others.
async fn partition(
    context: &Context,
    facts: Vec<ExperimentFacts>,
) -> (Vec<ExperimentFacts>, Vec<CliError>) {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for facts in facts {
        let has_attempts = facts.tally.as_ref().is_some_and(|tally| tally.attempts > 0);
        let is_loaded = |unit: &UnitStatus| unit.active_state != ActiveState::Inactive;
        let is_known = has_attempts || facts.unit.as_ref().is_some_and(is_loaded);
        match if is_known { Ok(()) } else { context.must_be_defined(&facts.id).await } {
            Ok(()) => found.push(facts),
            Err(error) => missing.push(error),
        }
    }
    (found, missing)
}

fn page(context: &Context, facts: ExperimentFacts, with_log: bool) -> StatusPage {
    let last = facts.tally.as_ref().and_then(|tally| tally.last.clone());
    let status = Status::new(facts);
    if context.terminal.is_json() {
        // The JSON has neither the description nor the log.
        return StatusPage { status, definition: DefinitionInfo::Missing, log: Vec::new() };
    }
    let definition = match context.definitions().find(&status.id) {
        Ok(found) => {
            DefinitionInfo::Found { source: found.source, description: found.spec.description }
        }
        Err(FindError::Missing { .. }) => DefinitionInfo::Missing,
        Err(error) => DefinitionInfo::Invalid(CliError::from(error).in_one_line()),
    };
    let mut log = if with_log { context.last_lines(&status.id, LAST_LINES) } else { Vec::new() };
    if let Some(last) = last.filter(|_| with_log && log.is_empty()) {
        // The journal has no lines of the attempt; its evidence may have the last ones.
        log = kept_lines(&last);
        log.drain(..log.len().saturating_sub(LAST_LINES));
    }
    StatusPage { status, definition, log }
}
