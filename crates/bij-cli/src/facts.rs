//! Gathers the facts about experiments from all adapters.

mod gpu_memory;

use std::collections::{BTreeMap, BTreeSet};

use bij_core::port::{DefinitionSource as _, UnitManager as _};
use bij_core::request::{EntryState, QueueEntry, QueueQuery};
use bij_core::{ActiveState, ExperimentId, Progress, Tally, UnitStatus};
use bij_host::read_progress;

use crate::context::Context;
use crate::coordinator;
use crate::error::CliError;
use crate::queue_source::QueueSource;
use crate::view::WaitingRun;

pub(crate) use gpu_memory::GpuShare;

/// The facts about one experiment.
#[derive(Clone, Debug)]
pub(crate) struct ExperimentFacts {
    pub(crate) id: ExperimentId,
    /// The status of its unit; `None` if the service manager cannot be reached.
    pub(crate) unit: Option<UnitStatus>,
    /// The totals of its history; `None` if the state database cannot be read.
    pub(crate) tally: Option<Tally>,
    /// The contents of its progress file.
    pub(crate) progress: Option<Progress>,
    /// Its first waiting run.
    pub(crate) queued: Option<WaitingRun>,
    /// Its GPU memory, if it is up.
    pub(crate) gpu: Option<GpuShare>,
}

/// Returns the facts about some experiments, in the given order.
///
/// A manager that cannot be reached and a database that cannot be read cause a warning, and their facts
/// are missing; the others are returned.
pub(crate) async fn read(context: &Context, ids: &[ExperimentId]) -> Vec<ExperimentFacts> {
    let mut units = Some(Vec::new());
    match context.units().await {
        Ok(manager) => {
            for id in ids {
                match manager.status(id).await {
                    Ok(unit) => units.iter_mut().for_each(|units| units.push(unit.clone())),
                    Err(error) => {
                        warn_manager_unreachable(context, &error.into());
                        units = None;
                        break;
                    }
                }
            }
        }
        Err(error) => {
            warn_manager_unreachable(context, &error);
            units = None;
        }
    }
    let history =
        context.history().await.map_err(|error| warn_history_unreadable(context, &error)).ok();
    let mut units = units.map(Vec::into_iter);
    let mut all = Vec::with_capacity(ids.len());
    for id in ids {
        let unit = units.as_mut().and_then(Iterator::next);
        let tally = match &history {
            Some(history) => {
                let tally = history.tally(id).await;
                tally.map_err(|error| warn_history_unreadable(context, &error)).ok()
            }
            None => None,
        };
        all.push(combine(context, id.clone(), unit, tally));
    }
    all
}

/// Returns the facts about every experiment that is defined or known to the manager. The number of
/// requests does not depend on the number of experiments.
pub(crate) async fn read_all(context: &Context) -> Result<Vec<ExperimentFacts>, CliError> {
    let listed = match context.units().await {
        Ok(manager) => manager.list().await.map_err(CliError::from),
        Err(error) => Err(error),
    };
    let units = listed.map_err(|error| warn_manager_unreachable(context, &error)).ok();
    let tallies = match context.history().await {
        Ok(history) => history.tallies().await,
        Err(error) => Err(error),
    };
    let mut tallies = tallies.map_err(|error| warn_history_unreadable(context, &error)).ok();
    let defined = match (context.definitions().ids(), &units) {
        (Ok(ids), _) => ids,
        (Err(error), None) => return Err(error.into()),
        (Err(error), Some(_)) => {
            warn_definitions_unreadable(context, &error.into());
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
        combine(context, id, unit, tally)
    });
    Ok(all.collect())
}

/// Adds the full status of each unit that is not down: a listing has less about each unit.
pub(crate) async fn add_unit_details(context: &Context, all: &mut [ExperimentFacts]) {
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

fn combine(
    context: &Context,
    id: ExperimentId,
    unit: Option<UnitStatus>,
    tally: Option<Tally>,
) -> ExperimentFacts {
    // An experiment that has never run has no progress; its file need not be looked up.
    let ran = tally.as_ref().is_some_and(|tally| tally.attempts > 0)
        || unit.as_ref().is_some_and(|unit| unit.main_pid.is_some());
    let progress = ran.then(|| read_progress(&context.layout.progress(&id))).flatten();
    ExperimentFacts { id, unit, tally, progress, queued: None, gpu: None }
}

fn warn_manager_unreachable(context: &Context, error: &CliError) {
    context.terminal.warning(&format!("{}; showing the data on disk", error.sentence()));
    error.hints.iter().for_each(|hint| context.terminal.hint(hint));
}

fn warn_definitions_unreadable(context: &Context, error: &CliError) {
    let sentence = error.sentence();
    context
        .terminal
        .warning(&format!("{sentence}; showing the experiments that the service manager knows"));
    error.hints.iter().for_each(|hint| context.terminal.hint(hint));
}

fn warn_history_unreadable(context: &Context, error: &CliError) {
    context.terminal.warning(&format!("{}; showing no history", error.sentence()));
    error.hints.iter().for_each(|hint| context.terminal.hint(hint));
}

/// Up to this many experiments, one query is made for each; for more, the whole queue is read.
const SINGLE_QUERIES: usize = 3;

/// Adds to each experiment the first of its waiting runs, and its GPU memory. If the queue cannot be read,
/// this prints a warning and adds no runs.
pub(crate) async fn add_waiting_runs(context: &Context, all: &mut [ExperimentFacts]) {
    let ids: Vec<ExperimentId> = all.iter().map(|facts| facts.id.clone()).collect();
    let source = queue_source(context).await;
    gpu_memory::add(context, &source, all).await;
    let waiting = match first_in(&source, &ids).await {
        Ok(waiting) => waiting,
        Err(error) => {
            context.terminal.warning(&format!("{}; showing no queue", error.sentence()));
            return;
        }
    };
    for facts in all {
        facts.queued = waiting.get(&facts.id).cloned();
    }
}

/// Returns the first waiting run of each of these experiments that has one.
pub(crate) async fn first_waiting_runs(
    context: &Context,
    ids: &[ExperimentId],
) -> Result<BTreeMap<ExperimentId, WaitingRun>, CliError> {
    first_in(&queue_source(context).await, ids).await
}

async fn first_in(
    source: &QueueSource,
    ids: &[ExperimentId],
) -> Result<BTreeMap<ExperimentId, WaitingRun>, CliError> {
    let mut first = BTreeMap::new();
    for entry in entries(source, ids).await? {
        if matches!(entry.state, EntryState::Waiting | EntryState::Held) {
            first.entry(entry.experiment.clone()).or_insert_with(|| WaitingRun::from(entry));
        }
    }
    Ok(first)
}

/// Returns the coordinator if it answers on its socket, else the store: showing experiments must not wait
/// for the bus.
async fn queue_source(context: &Context) -> QueueSource {
    match coordinator::connect_to_socket(&context.layout).await {
        Ok(client) => QueueSource::Coordinator(client),
        Err(_) => QueueSource::from_store(context),
    }
}

/// Returns runs in starting order; at least all runs of these experiments.
async fn entries(source: &QueueSource, ids: &[ExperimentId]) -> Result<Vec<QueueEntry>, CliError> {
    if ids.len() > SINGLE_QUERIES {
        return source.queue(&QueueQuery::default()).await;
    }
    let mut entries = Vec::new();
    for id in ids {
        let query = QueueQuery { experiment: Some(id.clone()), ..QueueQuery::default() };
        entries.extend(source.queue(&query).await?);
    }
    Ok(entries)
}
