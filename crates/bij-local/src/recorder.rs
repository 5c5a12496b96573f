//! The ledger, from async code.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bij_core::port::{AttemptQuery, Closing, Ledger, LedgerError, Opened, Opening};
use bij_core::{
    Attempt, BootId, ExperimentId, Layout, Outcome, RecoveredEnd, Timestamp, close_other_boots,
};

use crate::jar::lock;
use crate::progress_file::read_progress;

/// How long a record that may still succeed is tried again.
const PATIENCE: Duration = Duration::from_secs(10);
const AGAIN_AFTER: Duration = Duration::from_millis(250);

/// Attempts among which the newest checkpoint is looked for.
const RECENT: usize = 100;

/// Keeps the ledger and calls it where blocking does no harm.
#[derive(Debug)]
pub(crate) struct Recorder<L> {
    ledger: Arc<Mutex<L>>,
}

impl<L: Ledger + Send + 'static> Recorder<L> {
    pub(crate) fn new(ledger: L) -> Self {
        Self { ledger: Arc::new(Mutex::new(ledger)) }
    }

    pub(crate) async fn open(&self, opening: Opening) -> Result<Opened, LedgerError> {
        self.call(move |ledger| ledger.open(&opening)).await
    }

    pub(crate) async fn close(&self, closing: Closing) -> Result<Outcome, LedgerError> {
        self.call(move |ledger| ledger.close(&closing)).await
    }

    /// The attempts of an experiment that are open.
    pub(crate) async fn left_open(&self, id: &ExperimentId) -> Result<Vec<Attempt>, LedgerError> {
        let query = AttemptQuery { experiment: Some(id.clone()), open: true, ..Default::default() };
        self.call(move |ledger| ledger.attempts(&query)).await
    }

    /// The newest attempts of an experiment, oldest first.
    pub(crate) async fn recent(&self, id: &ExperimentId) -> Result<Vec<Attempt>, LedgerError> {
        let query = AttemptQuery {
            experiment: Some(id.clone()),
            newest: Some(RECENT),
            ..AttemptQuery::default()
        };
        self.call(move |ledger| ledger.attempts(&query)).await
    }

    /// Ends what other boots have left open, of every experiment.
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

    /// Calls the ledger, again and again while that may help. Every call of the port may be
    /// repeated.
    async fn call<T, F>(&self, ask: F) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        F: Fn(&mut L) -> Result<T, LedgerError> + Send + Sync + 'static,
    {
        let ask = Arc::new(ask);
        let began = Instant::now();
        loop {
            let (ledger, ask) = (Arc::clone(&self.ledger), Arc::clone(&ask));
            let asked = tokio::task::spawn_blocking(move || ask(&mut lock(&ledger)));
            let answer = asked.await.unwrap_or_else(|lost| Err(LedgerError::Other(lost.into())));
            match answer {
                Err(error) if error.is_transient() && began.elapsed() < PATIENCE => {
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
                answer => return answer,
            }
        }
    }
}
