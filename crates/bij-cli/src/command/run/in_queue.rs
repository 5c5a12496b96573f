//! What a session has started and what waits in the queue instead of being up.

use std::collections::BTreeMap;

use bij_api::Client;
use bij_api::message::{Act, State};
use bij_core::queue::RunRef;
use bij_core::{ExperimentId, RunId};

use crate::context::Context;
use crate::coordinator;
use crate::error::CliError;
use crate::view::Queued;

/// Runs that wait for their gates while somebody waits for them.
#[derive(Debug, Default)]
pub(super) struct InQueue(BTreeMap<ExperimentId, RunId>);

impl InQueue {
    /// Looks whether a start that was skipped is in the queue now, and tells what it waits for.
    pub(super) async fn take_in(&mut self, context: &Context, id: &ExperimentId) -> Option<String> {
        let client = Client::connect(&context.layout.coordinator_socket()).await.ok()?;
        let entry = client.why(&RunRef::Newest(id.clone())).await.ok()?.entry;
        if entry.state == State::Ended {
            return None;
        }
        // It may be on its way up by now.
        self.0.insert(id.clone(), entry.id());
        Some(Queued::from(entry).sentence())
    }

    /// It is up: from now on its unit tells how it is.
    pub(super) fn is_up(&mut self, id: &ExperimentId) {
        self.0.remove(id);
    }

    /// Whether its unit is down only because its run is not over. A coordinator that does not
    /// answer will be back.
    pub(super) async fn awaits(&mut self, context: &Context, id: &ExperimentId) -> bool {
        let Some(run) = self.0.get(id).cloned() else { return false };
        let Ok(client) = Client::connect(&context.layout.coordinator_socket()).await else {
            return true;
        };
        let why = client.why(&RunRef::Run(run)).await;
        let over = why.is_ok_and(|why| why.entry.state == State::Ended);
        if over {
            self.0.remove(id);
        }
        !over
    }

    /// Takes all of them out of the queue; those that cannot be taken out are no longer waited for.
    pub(super) async fn cancel(&mut self, context: &Context) -> Result<(), CliError> {
        let runs: Vec<RunRef> = self.0.values().cloned().map(RunRef::Run).collect();
        if runs.is_empty() {
            return Ok(());
        }
        let cancelled = async {
            coordinator::connect(context).await?.act(&Act::Cancel, &runs).await?;
            Ok(())
        };
        let cancelled = cancelled.await;
        if cancelled.is_err() {
            self.0.clear();
        }
        cancelled
    }
}
