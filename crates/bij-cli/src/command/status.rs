//! `bij status`: how experiments are, with their last lines of log.

use bij_core::port::{DefinitionSource as _, FindError};
use bij_core::{ActiveState, ExperimentId, UnitStatus};

use crate::args::{IdArg, MaybeIdsArgs};
use crate::context::Context;
use crate::error::CliError;
use crate::facts;
use crate::log_source::kept_lines;
use crate::queued;
use crate::view::{Facts, Loaded, Status, StatusPage, StatusPages};

/// As many as `systemctl status` shows.
const LAST_LINES: usize = 10;

/// Shows the experiments, or all of them.
pub(crate) async fn status(context: &Context, args: &MaybeIdsArgs) -> Result<(), CliError> {
    let ids: Vec<ExperimentId> = args.ids.iter().map(|IdArg(id)| id.clone()).collect();
    let named = !ids.is_empty();
    let mut found =
        if named { facts::of(context, &ids).await } else { facts::of_all(context).await? };
    if !named {
        facts::look_closely(context, &mut found).await;
    }
    queued::look(context, &mut found).await;
    let (found, missing) = if named { part(context, found).await } else { (found, Vec::new()) };
    let mut pages = Vec::new();
    for facts in found {
        pages.push(page(context, facts, named));
    }
    if pages.is_empty() && missing.is_empty() {
        context.terminal.status("No experiments.");
    }
    match (pages.len(), ids.len()) {
        // One that was asked for by name is one value in JSON, not an array.
        (1, 1) => pages.pop().map_or(Ok(()), |page| context.terminal.show(&page))?,
        (0, 1) => {}
        _ => context.terminal.show(&StatusPages(pages))?,
    }
    missing.into_iter().next().map_or(Ok(()), Err)
}

/// Those that exist, and why the others do not.
async fn part(context: &Context, facts: Vec<Facts>) -> (Vec<Facts>, Vec<CliError>) {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for facts in facts {
        let lived = facts.tally.as_ref().is_some_and(|tally| tally.attempts > 0);
        let up = |unit: &UnitStatus| unit.active_state != ActiveState::Inactive;
        let loaded = facts.unit.as_ref().is_some_and(up);
        let is_known = lived || loaded;
        match if is_known { Ok(()) } else { context.must_be_defined(&facts.id).await } {
            Ok(()) => found.push(facts),
            Err(error) => missing.push(error),
        }
    }
    (found, missing)
}

fn page(context: &Context, facts: Facts, with_log: bool) -> StatusPage {
    let last = facts.tally.as_ref().and_then(|tally| tally.last.clone());
    let status = Status::new(facts);
    if context.terminal.json() {
        // A program reads neither the description nor the log.
        return StatusPage { status, loaded: Loaded::Missing, log: Vec::new() };
    }
    let loaded = match context.definitions().find(&status.id) {
        Ok(found) => Loaded::Found { source: found.source, description: found.spec.description },
        Err(FindError::Missing { .. }) => Loaded::Missing,
        Err(error) => Loaded::Bad(CliError::from(error).in_one_line()),
    };
    let mut log = if with_log { context.last_lines(&status.id, LAST_LINES) } else { Vec::new() };
    if let Some(last) = last.filter(|_| with_log && log.is_empty()) {
        // The journal has been removed; what the attempt ended with is kept.
        log = kept_lines(&last);
        log.drain(..log.len().saturating_sub(LAST_LINES));
    }
    StatusPage { status, loaded, log }
}
