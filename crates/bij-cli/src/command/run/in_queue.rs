//! What a session has started and what waits in the queue instead of being up.

use std::collections::BTreeMap;

use bij_api::message::{Act, State};
use bij_core::queue::RunRef;
use bij_core::{ExperimentId, RunId};

use crate::context::Context;
use crate::coordinator;
use crate::error::CliError;
use crate::source::{Live, OpenRuns};
use crate::view::Queued;

/// Runs that wait for their gates while a session waits for them.
#[derive(Default)]
pub(super) struct InQueue<'a> {
    runs: BTreeMap<ExperimentId, RunId>,
    /// Tells of their ends; there from the first run on.
    open: Option<OpenRuns<'a>>,
}

impl<'a> InQueue<'a> {
    /// Returns what an experiment waits for if its start was skipped because its run is in the queue.
    pub(super) async fn take_in(
        &mut self,
        context: &'a Context,
        id: &ExperimentId,
    ) -> Option<String> {
        if self.open.is_none() {
            self.open = Some(OpenRuns::new(Live::begin(context).await.ok()?, []));
        }
        let open = self.open.as_mut()?;
        let entry = open.live().why(&RunRef::Newest(id.clone())).await.ok()?.entry;
        if entry.state == State::Ended {
            return None;
        }
        // It may be on its way up by now.
        self.runs.insert(id.clone(), entry.id());
        open.add(entry.id());
        Some(Queued::from(entry).sentence())
    }

    /// Notes that an experiment is up: from now on its unit tells how it is.
    pub(super) fn is_up(&mut self, id: &ExperimentId) {
        if let Some(run) = self.runs.remove(id)
            && let Some(open) = &mut self.open
        {
            open.remove(&run);
        }
    }

    /// Forgets the runs that are over. A coordinator that does not answer will be back.
    pub(super) async fn catch_up(&mut self) {
        let Some(open) = self.open.as_mut().filter(|open| !open.is_empty()) else { return };
        open.live().poll().await;
        for ended in open.catch_up().await.into_iter().flatten() {
            self.runs.remove(&ended.run.experiment);
        }
    }

    /// Returns whether the unit of an experiment is down only because its run is not over.
    pub(super) fn awaits(&self, id: &ExperimentId) -> bool {
        self.runs.contains_key(id)
    }

    /// Takes all of them out of the queue; those that cannot be taken out are no longer waited for.
    pub(super) async fn cancel(&mut self, context: &Context) -> Result<(), CliError> {
        let runs: Vec<RunRef> = self.runs.values().cloned().map(RunRef::Run).collect();
        if runs.is_empty() {
            return Ok(());
        }
        let cancelled = async {
            coordinator::connect(context).await?.act(&Act::Cancel, &runs).await?;
            Ok(())
        };
        let cancelled = cancelled.await;
        if cancelled.is_err() {
            self.runs.clear();
        }
        cancelled
    }
}
