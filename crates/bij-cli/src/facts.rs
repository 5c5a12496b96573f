//! What the adapters know about experiments, gathered for a view.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use bij_core::port::{DefinitionSource as _, UnitManager as _};
use bij_core::{ActiveState, ExperimentId, Progress, Tally, UnitStatus};
use nix::fcntl::OFlag;

use crate::context::Context;
use crate::error::CliError;
use crate::view::Facts;

/// The facts about some experiments, in the order given.
///
/// A manager that cannot be reached and a database that cannot be read leave gaps and a warning:
/// whoever looks is told what there is.
pub(crate) async fn of(context: &Context, ids: &[ExperimentId]) -> Vec<Facts> {
    let mut units = Some(Vec::new());
    match context.units().await {
        Ok(manager) => {
            for id in ids {
                match manager.status(id).await {
                    Ok(unit) => units.iter_mut().for_each(|units| units.push(unit.clone())),
                    Err(error) => {
                        unasked(context, &error.into());
                        units = None;
                        break;
                    }
                }
            }
        }
        Err(error) => {
            unasked(context, &error);
            units = None;
        }
    }
    let past = context.past().await.map_err(|error| unread(context, &error)).ok();
    let mut units = units.map(Vec::into_iter);
    let mut all = Vec::with_capacity(ids.len());
    for id in ids {
        let unit = units.as_mut().and_then(Iterator::next);
        let tally = match &past {
            Some(past) => past.tally(id).await.map_err(|error| unread(context, &error)).ok(),
            None => None,
        };
        all.push(facts(context, id.clone(), unit, tally));
    }
    all
}

/// The facts about every experiment that is defined or known to the manager, by a number of
/// questions that does not depend on how many there are.
pub(crate) async fn of_all(context: &Context) -> Result<Vec<Facts>, CliError> {
    let listed = match context.units().await {
        Ok(manager) => manager.list().await.map_err(CliError::from),
        Err(error) => Err(error),
    };
    let units = listed.map_err(|error| unasked(context, &error)).ok();
    let tallies = match context.past().await {
        Ok(past) => past.tallies().await,
        Err(error) => Err(error),
    };
    let mut tallies = tallies.map_err(|error| unread(context, &error)).ok();
    let defined = match (context.definitions().ids(), &units) {
        (Ok(ids), _) => ids,
        (Err(error), None) => return Err(error.into()),
        (Err(error), Some(_)) => {
            unlisted(context, &error.into());
            Vec::new()
        }
    };
    let mut ids: BTreeSet<ExperimentId> = defined.into_iter().collect();
    ids.extend(units.iter().flatten().map(|unit| unit.id.clone()));
    let mut units: Option<BTreeMap<ExperimentId, UnitStatus>> =
        units.map(|units| units.into_iter().map(|unit| (unit.id.clone(), unit)).collect());
    let all = ids.into_iter().map(|id| {
        let unit = units
            .as_mut()
            .map(|units| units.remove(&id).unwrap_or_else(|| UnitStatus::down(id.clone())));
        let tally = tallies.as_mut().map(|tallies| tallies.remove(&id).unwrap_or_default());
        facts(context, id, unit, tally)
    });
    Ok(all.collect())
}

/// Asks again, one by one, about those that are not down: a list knows less of each.
pub(crate) async fn look_closely(context: &Context, all: &mut [Facts]) {
    let Ok(manager) = context.units().await else { return };
    for facts in all {
        let down = |state: &ActiveState| matches!(state, ActiveState::Inactive);
        if facts.unit.as_ref().is_none_or(|unit| down(&unit.active_state)) {
            continue;
        }
        if let Ok(unit) = manager.status(&facts.id).await {
            facts.unit = Some(unit);
        }
    }
}

fn facts(
    context: &Context,
    id: ExperimentId,
    unit: Option<UnitStatus>,
    tally: Option<Tally>,
) -> Facts {
    // Whoever never ran has said nothing.
    let ran = tally.as_ref().is_some_and(|tally| tally.attempts > 0)
        || unit.as_ref().is_some_and(|unit| unit.main_pid.is_some());
    let progress = ran.then(|| read_progress(&context.layout.progress(&id))).flatten();
    Facts { id, unit, tally, progress, queued: None, gpu: None }
}

/// What an experiment says of its progress. The file is the experiment's own: it may be a link, a
/// pipe or endless, and none of these is followed, waited for or read to its end.
pub(crate) fn read_progress(path: &Path) -> Option<Progress> {
    const MAX: u64 = 64 * 1024;
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = Vec::new();
    file.take(MAX).read_to_end(&mut text).ok()?;
    String::from_utf8_lossy(&text).parse().ok()
}

fn unasked(context: &Context, error: &CliError) {
    context.terminal.warning(&format!("{}; showing what is on disk", error.sentence()));
    error.hints.iter().for_each(|hint| context.terminal.hint(hint));
}

fn unlisted(context: &Context, error: &CliError) {
    let sentence = error.sentence();
    context.terminal.warning(&format!("{sentence}; showing what the service manager knows"));
    error.hints.iter().for_each(|hint| context.terminal.hint(hint));
}

fn unread(context: &Context, error: &CliError) {
    context.terminal.warning(&format!("{}; showing no history", error.sentence()));
    error.hints.iter().for_each(|hint| context.terminal.hint(hint));
}
