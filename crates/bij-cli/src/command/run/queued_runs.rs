//! The runs of a foreground session that wait in the queue.

use std::collections::BTreeMap;

use bij_core::queue::RunRef;
use bij_core::request::{Act, EntryState};
use bij_core::{ExperimentId, RunId};

use crate::context::Context;
use crate::coordinator;
use crate::error::CliError;
use crate::queue_source::{OpenRuns, QueueWatch};
use crate::view::WaitingRun;

/// The runs that wait for their gates while a session waits for their ends.
#[derive(Default)]
pub(super) struct QueuedRuns<'a> {
    runs: BTreeMap<ExperimentId, RunId>,
    /// Watches for their ends; `None` until the first run is added.
    open: Option<OpenRuns<'a>>,
}

impl<'a> QueuedRuns<'a> {
    /// Adds the run of an experiment whose start was skipped, and returns what the run waits for; `None` if no run is
    /// in the queue.
    pub(super) async fn add(&mut self, context: &'a Context, id: &ExperimentId) -> Option<String> {
        if self.open.is_none() {
            self.open = Some(OpenRuns::new(QueueWatch::start(context).await.ok()?, []));
        }
        let open = self.open.as_mut()?;
        let entry = open.watch().why(&RunRef::Newest(id.clone())).await.ok()?.entry;
        if entry.state == EntryState::Ended {
            return None;
        }
        self.runs.insert(id.clone(), entry.id());
        open.add(entry.id());
        Some(WaitingRun::from(entry).sentence())
    }

    /// Removes the run of an experiment that is up; from now on its unit is observed.
    pub(super) fn remove(&mut self, id: &ExperimentId) {
        if let Some(run) = self.runs.remove(id)
            && let Some(open) = &mut self.open
        {
            open.remove(&run);
        }
    }

    /// Removes the runs that are over. Errors are ignored: the next call tries again.
    pub(super) async fn catch_up(&mut self) {
        let Some(open) = self.open.as_mut().filter(|open| !open.is_empty()) else { return };
        open.watch().poll().await;
        for ended in open.catch_up().await.into_iter().flatten() {
            self.runs.remove(&ended.run.experiment);
        }
    }

    /// Returns whether the unit of an experiment is down only because its run is not over.
    pub(super) fn contains(&self, id: &ExperimentId) -> bool {
        self.runs.contains_key(id)
    }

    /// Cancels all runs; if that fails, the session no longer waits for them.
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
