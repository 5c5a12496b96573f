//! Calls the ledger from async code.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bij_core::port::{AttemptQuery, Closing, Ledger, LedgerError, Opened, Opening};
use bij_core::{
    Attempt, BootId, ExperimentId, Layout, Outcome, RecoveredEnd, Timestamp, close_other_boots,
};
use bij_host::read_progress;

use crate::resource_guard::lock;

/// How long a call is repeated after transient errors.
const RETRY_FOR: Duration = Duration::from_secs(10);
const RETRY_DELAY: Duration = Duration::from_millis(250);

/// How many attempts are searched for the newest checkpoint.
const CHECKPOINT_SEARCH_DEPTH: usize = 100;

/// Holds the ledger and calls it on the runtime's blocking threads.
pub(crate) struct Recorder {
    ledger: Arc<Mutex<dyn Ledger + Send>>,
}

impl Recorder {
    pub(crate) fn new(ledger: impl Ledger + Send + 'static) -> Self {
        Self { ledger: Arc::new(Mutex::new(ledger)) }
    }

    pub(crate) async fn open(&self, opening: Opening) -> Result<Opened, LedgerError> {
        self.call(move |ledger| ledger.open(&opening)).await
    }

    pub(crate) async fn close(&self, closing: Closing) -> Result<Outcome, LedgerError> {
        self.call(move |ledger| ledger.close(&closing)).await
    }

    /// Returns the attempts of an experiment without an end record.
    pub(crate) async fn unclosed_attempts(
        &self,
        id: &ExperimentId,
    ) -> Result<Vec<Attempt>, LedgerError> {
        let query = AttemptQuery { experiment: Some(id.clone()), open: true, ..Default::default() };
        self.call(move |ledger| ledger.attempts(&query)).await
    }

    /// Returns the newest attempts of an experiment, oldest first.
    pub(crate) async fn recent_attempts(
        &self,
        id: &ExperimentId,
    ) -> Result<Vec<Attempt>, LedgerError> {
        let query = AttemptQuery {
            experiment: Some(id.clone()),
            newest: Some(CHECKPOINT_SEARCH_DEPTH),
            ..AttemptQuery::default()
        };
        self.call(move |ledger| ledger.attempts(&query)).await
    }

    /// Closes the attempts of all experiments that other boots have left unclosed.
    pub(crate) async fn close_other_boots(
        &self,
        current: BootId,
        now: Timestamp,
        layout: Layout,
    ) -> Result<(), LedgerError> {
        let last_words = move |attempt: &Attempt| RecoveredEnd {
            progress: read_progress(&layout.progress(&attempt.run.experiment)),
            ..RecoveredEnd::default()
        };
        self.call(move |ledger| close_other_boots(ledger, current, now, &last_words)).await?;
        Ok(())
    }

    /// Calls the ledger and repeats the call after transient errors. The port allows that for every
    /// call.
    async fn call<T, F>(&self, operation: F) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        F: Fn(&mut dyn Ledger) -> Result<T, LedgerError> + Send + Sync + 'static,
    {
        let operation = Arc::new(operation);
        let began = Instant::now();
        loop {
            let (ledger, operation) = (Arc::clone(&self.ledger), Arc::clone(&operation));
            let called = tokio::task::spawn_blocking(move || operation(&mut *lock(&ledger)));
            let answer = called.await.unwrap_or_else(|lost| Err(LedgerError::Other(lost.into())));
            match answer {
                Err(error) if error.is_transient() && began.elapsed() < RETRY_FOR => {
                    tokio::time::sleep(RETRY_DELAY).await;
                }
                answer => return answer,
            }
        }
    }
}
