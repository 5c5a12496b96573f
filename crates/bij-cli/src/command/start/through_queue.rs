//! A start that is a submission: past the gates, with something added, or without systemd.

use std::time::Duration;

use bij_api::Client;
use bij_api::message::{Entry, State, Submit, SubmitOptions};
use bij_core::queue::RunRef;
use bij_core::{ExperimentId, RunEnd};

use crate::context::Context;
use crate::error::{CliError, Kind};
use crate::source::Live;
use crate::view::{Effect, Outcome, Outcomes, Queued};

/// A coordinator that finds every gate open has let it start by then.
const DECIDED_WITHIN: Duration = Duration::from_secs(30);

/// Submits a run and stays until it is up, or known to wait.
pub(super) async fn start(
    context: &Context,
    client: &Client,
    submission: Submit,
) -> Result<(), CliError> {
    let id = submission.experiment.clone();
    let mut live = Live::begin(context).await?;
    let taken = client.submit(&[submission], SubmitOptions::default()).await?;
    let Some(entry) = taken.into_iter().next() else {
        return Err(CliError::new(Kind::Internal, "the coordinator took in nothing"));
    };
    let run = RunRef::Run(entry.id());
    let settled = async {
        loop {
            let entry = live.why(&run).await?.entry;
            if is_settled(&entry) {
                return Ok::<Entry, CliError>(entry);
            }
            live.wait().await;
        }
    };
    // Whoever takes longer is told of as it stands: it is in the queue.
    let entry = tokio::time::timeout(DECIDED_WITHIN, settled).await.unwrap_or(Ok(entry))?;
    tell(context, id, entry)
}

/// Whether it is up, over, or waits for something that can be named.
fn is_settled(entry: &Entry) -> bool {
    match entry.state {
        State::Running | State::Ended | State::Held => true,
        State::Waiting => !entry.waiting_on.is_empty(),
        State::Starting => false,
    }
}

fn tell(context: &Context, id: ExperimentId, entry: Entry) -> Result<(), CliError> {
    let run = entry.id();
    let failed = match (entry.state, entry.ended) {
        (State::Ended, Some(end @ (RunEnd::GaveUp | RunEnd::Never | RunEnd::Cancelled))) => Some(
            CliError::new(Kind::Failed, format!("{run} ended: {end}"))
                .hint(format!("see `bij status {id}` and `bij logs {id}`")),
        ),
        (State::Ended | State::Running | State::Starting | State::Waiting | State::Held, _) => None,
    };
    let (effect, queued) = match entry.state {
        _ if failed.is_some() => (Effect::Failed, None),
        State::Running | State::Ended => (Effect::Changed, None),
        State::Starting | State::Waiting | State::Held => {
            (Effect::Skipped, Some(Queued::from(entry)))
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
    context.terminal.show(&Outcomes(vec![Outcome { id, effect, error, queued }]))?;
    failed.map_or(Ok(()), Err)
}
