//! Answers queries of what was recorded. The ledger is read in pieces and on blocking threads.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use bij_api::{RecordQueries, Refusal, RefusalKind};
use bij_coordinator::Ports;
use bij_core::port::{Ledger as _, LedgerError};
use bij_core::request::{
    AttemptsPart, AttemptsQuery, BoardQuery, HISTORY_PAGE_LEN, Minutes, MinutesQuery, PAGE_LEN,
    RecordedSample, TalliesQuery,
};
use bij_core::{Attempt, ExperimentId, Tally, Uptime, error_chain};
use bij_store::Reader;

use super::handler::CoordinatorHandler;
use super::refusal::shutting_down;

impl<P: Ports> RecordQueries for CoordinatorHandler<P> {
    async fn attempts(&self, query: AttemptsQuery) -> Result<Vec<Attempt>, Refusal> {
        attempts(&self.history, query).await
    }

    async fn tallies(&self, query: TalliesQuery) -> Result<BTreeMap<ExperimentId, Tally>, Refusal> {
        tallies(&self.history, query).await
    }

    async fn board(&self, query: BoardQuery) -> Result<Vec<RecordedSample>, Refusal> {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let later = samples.after(Uptime::from_micros(query.after_usec));
        Ok(later.take(PAGE_LEN as usize).map(RecordedSample::from).collect())
    }

    async fn minutes(&self, query: MinutesQuery) -> Result<Minutes, Refusal> {
        minutes(&self.history, query).await
    }
}

/// Returns attempts, oldest first.
async fn attempts(history: &Arc<Reader>, query: AttemptsQuery) -> Result<Vec<Attempt>, Refusal> {
    let part = query.part()?;
    let mut attempts = read(history, move |history| match part {
        AttemptsPart::Oldest(scan) => history.attempts_after(&scan, HISTORY_PAGE_LEN as usize),
        AttemptsPart::Newest(query) => history.attempts(&query),
    })
    .await?;
    attempts.iter_mut().for_each(clear_output);
    Ok(attempts)
}

/// Removes the output of an experiment, which only users with access to the journal or the database may read.
fn clear_output(attempt: &mut Attempt) {
    if let Some(end) = &mut attempt.end {
        end.evidence.last_lines.clear();
    }
}

/// Returns the tallies of experiments, in alphabetical order.
async fn tallies(
    history: &Arc<Reader>,
    query: TalliesQuery,
) -> Result<BTreeMap<ExperimentId, Tally>, Refusal> {
    let TalliesQuery { experiment, after } = query;
    let mut tallies: BTreeMap<ExperimentId, Tally> = read(history, move |history| {
        if let Some(id) = experiment {
            let tally = history.tally(&id)?;
            return Ok(BTreeMap::from([(id, tally)]));
        }
        history.tallies_after(after.as_ref(), HISTORY_PAGE_LEN as usize)
    })
    .await?;
    tallies.values_mut().filter_map(|tally| tally.last.as_mut()).for_each(clear_output);
    Ok(tallies)
}

/// Returns minutes of the board, oldest first.
async fn minutes(history: &Arc<Reader>, query: MinutesQuery) -> Result<Minutes, Refusal> {
    let read =
        read(history, move |history| history.board_minutes_before(query.before, query.limit()));
    let (first, minutes) = read.await?;
    Ok(Minutes { first, minutes })
}

async fn read<T: Send + 'static>(
    history: &Arc<Reader>,
    question: impl FnOnce(&Reader) -> Result<T, LedgerError> + Send + 'static,
) -> Result<T, Refusal> {
    let history = Arc::clone(history);
    let read = tokio::task::spawn_blocking(move || question(&history)).await;
    // This fails only if the runtime is shutting down.
    let read = read.map_err(|_| shutting_down())?;
    read.map_err(|error| Refusal::new(RefusalKind::Store, error_chain(&error)))
}

#[cfg(test)]
mod tests;
