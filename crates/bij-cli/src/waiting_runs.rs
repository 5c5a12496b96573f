//! Looks up the waiting runs of experiments.

use std::collections::BTreeMap;

use bij_core::ExperimentId;
use bij_core::request::{EntryState, QueueEntry, QueueQuery};

use crate::context::Context;
use crate::error::CliError;
use crate::queue_source::QueueSource;
use crate::view::{ExperimentFacts, WaitingRun};
use crate::{coordinator, gpu_memory};

/// Up to this many experiments, one query is made for each; for more, the whole queue is read.
const SINGLE_QUERIES: usize = 3;

/// Adds to each experiment the first of its waiting runs, and its GPU memory. If the queue cannot be read,
/// this prints a warning and adds no runs.
pub(crate) async fn add(context: &Context, all: &mut [ExperimentFacts]) {
    let ids: Vec<ExperimentId> = all.iter().map(|facts| facts.id.clone()).collect();
    let source = source(context).await;
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
pub(crate) async fn first_waiting(
    context: &Context,
    ids: &[ExperimentId],
) -> Result<BTreeMap<ExperimentId, WaitingRun>, CliError> {
    first_in(&source(context).await, ids).await
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
async fn source(context: &Context) -> QueueSource {
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
