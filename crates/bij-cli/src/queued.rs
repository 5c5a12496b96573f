//! Which run of an experiment waits in the queue, looked up for those who look at experiments.

use std::collections::BTreeMap;

use bij_api::message::{Entry, QueueQuery, State};
use bij_core::ExperimentId;

use crate::context::Context;
use crate::coordinator;
use crate::error::CliError;
use crate::gpu_memory;
use crate::source::Source;
use crate::view::{Facts, Queued};

/// So many experiments are asked about one by one; of more, the whole queue is read.
const ONE_BY_ONE: usize = 3;

/// Adds to each the first of its runs that waits, and what it has of the GPU's memory. What cannot be
/// looked up leaves a gap: a queue that nobody can read hides nothing else.
pub(crate) async fn look(context: &Context, all: &mut [Facts]) {
    let ids: Vec<ExperimentId> = all.iter().map(|facts| facts.id.clone()).collect();
    let source = source(context).await;
    gpu_memory::look(context, &source, all).await;
    let found = match first_in(&source, &ids).await {
        Ok(found) => found,
        Err(error) => {
            context.terminal.warning(&format!("{}; showing no queue", error.sentence()));
            return;
        }
    };
    for facts in all {
        facts.queued = found.get(&facts.id).cloned();
    }
}

/// The first run that waits, of each of these experiments that has one.
pub(crate) async fn first_of(
    context: &Context,
    ids: &[ExperimentId],
) -> Result<BTreeMap<ExperimentId, Queued>, CliError> {
    first_in(&source(context).await, ids).await
}

async fn first_in(
    source: &Source,
    ids: &[ExperimentId],
) -> Result<BTreeMap<ExperimentId, Queued>, CliError> {
    let mut first = BTreeMap::new();
    for entry in entries(source, ids).await? {
        if matches!(entry.state, State::Waiting | State::Held) {
            first.entry(entry.experiment.clone()).or_insert_with(|| Queued::from(entry));
        }
    }
    Ok(first)
}

/// Only by its socket: whoever looks does not wait for a bus.
async fn source(context: &Context) -> Source {
    match coordinator::connect_to_socket(&context.layout).await {
        Ok(client) => Source::Coordinator(client),
        Err(_) => Source::of_store(context),
    }
}

/// Runs in starting order, at least those of these experiments.
async fn entries(source: &Source, ids: &[ExperimentId]) -> Result<Vec<Entry>, CliError> {
    if ids.len() > ONE_BY_ONE {
        return source.queue(&QueueQuery::default()).await;
    }
    let mut entries = Vec::new();
    for id in ids {
        let query = QueueQuery { experiment: Some(id.clone()), ..QueueQuery::default() };
        entries.extend(source.queue(&query).await?);
    }
    Ok(entries)
}
