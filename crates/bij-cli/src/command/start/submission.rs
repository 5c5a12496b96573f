//! Starts an experiment by a submission: with additions, past the gates, or without systemd.

use std::time::Duration;

use bij_api::Client;
use bij_core::queue::RunRef;
use bij_core::request::{EntryState, QueueEntry, Submit, SubmitOptions};
use bij_core::{ExperimentId, RunEnd};

use crate::context::Context;
use crate::error::{CliError, Kind};
use crate::queue_source::QueueWatch;
use crate::view::{Effect, UnitOutcome, UnitOutcomes, WaitingRun};

/// How long to wait until the run is up or waits for a gate.
const DECISION_TIMEOUT: Duration = Duration::from_secs(30);

/// Submits a run and returns when it is up, over, or waits for a gate.
pub(super) async fn start(
    context: &Context,
    client: &Client,
    submission: Submit,
) -> Result<(), CliError> {
    let id = submission.experiment.clone();
    let mut watch = QueueWatch::start(context).await?;
    let submitted = client.submit(&[submission], SubmitOptions::default()).await?;
    let Some(entry) = submitted.into_iter().next() else {
        return Err(CliError::new(Kind::Internal, "the coordinator has queued no run"));
    };
    let run = RunRef::Run(entry.id());
    let settled = async {
        loop {
            let entry = watch.why(&run).await?.entry;
            if is_settled(&entry) {
                return Ok::<QueueEntry, CliError>(entry);
            }
            watch.wait().await;
        }
    };
    // After the time-out the run is reported as it was submitted: it is in the queue.
    let entry = tokio::time::timeout(DECISION_TIMEOUT, settled).await.unwrap_or(Ok(entry))?;
    report(context, id, entry)
}

/// Returns whether a run is up, over, held, or waits for a known gate.
fn is_settled(entry: &QueueEntry) -> bool {
    match entry.state {
        EntryState::Running | EntryState::Ended | EntryState::Held => true,
        EntryState::Waiting => !entry.waiting_on.is_empty(),
        EntryState::Starting => false,
    }
}

fn report(context: &Context, id: ExperimentId, entry: QueueEntry) -> Result<(), CliError> {
    let run = entry.id();
    let failed = match (entry.state, entry.ended) {
        (EntryState::Ended, Some(end @ (RunEnd::GaveUp | RunEnd::Never | RunEnd::Cancelled))) => {
            Some(
                CliError::new(Kind::Failed, format!("{run} ended: {end}"))
                    .hint(format!("see `bij status {id}` and `bij logs {id}`")),
            )
        }
        (
            EntryState::Ended
            | EntryState::Running
            | EntryState::Starting
            | EntryState::Waiting
            | EntryState::Held,
            _,
        ) => None,
    };
    let (effect, queued) = match entry.state {
        _ if failed.is_some() => (Effect::Failed, None),
        EntryState::Running | EntryState::Ended => (Effect::Changed, None),
        EntryState::Starting | EntryState::Waiting | EntryState::Held => {
            (Effect::Skipped, Some(WaitingRun::from(entry)))
        }
    };
    match (&queued, effect) {
        (Some(queued), _) => {
            context.terminal.status(&format!("{id}: queued as {}", queued.sentence()));
        }
        (None, Effect::Changed) => context.terminal.status(&format!("{id}: started as {run}")),
        (None, Effect::Unchanged | Effect::Skipped | Effect::Failed) => {}
    }
    let error = failed.as_ref().map(CliError::sentence);
    context.terminal.show(&UnitOutcomes(vec![UnitOutcome { id, effect, error, queued }]))?;
    failed.map_or(Ok(()), Err)
}
