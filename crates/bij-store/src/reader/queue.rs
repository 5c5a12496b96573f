//! The queue for callers without write permission.

use bij_core::port::{Change, LedgerError, RunQueue};
use bij_core::queue::{Event, Queue, QueuedRun, RunRef, Submission};
use bij_core::{History, Outcome, RunState, Timestamp};

use super::Reader;
use crate::database_error::DatabaseError;
use crate::queue;

impl RunQueue for Reader {
    fn load(&self) -> Result<Queue, LedgerError> {
        let contents = self.spool_contents();
        let mut queue = self.database.query(queue::load)?;
        if !contents.records.is_empty() {
            let histories = self.newest_histories(&contents.experiments().collect(), &contents)?;
            queue
                .runs
                .retain(|queued| !histories.by_experiment.contains_key(&queued.run.experiment));
            queue.runs.extend(histories.by_experiment.values().flat_map(History::queued).cloned());
        }
        Ok(queue)
    }

    /// Returns [`LedgerError::Denied`]: a reader cannot write.
    fn submit(&mut self, _: &[Submission], _: Timestamp) -> Result<Vec<QueuedRun>, LedgerError> {
        Err(DatabaseError::ReadOnly.into())
    }

    /// Returns [`LedgerError::Denied`]: a reader cannot write.
    fn change(&mut self, _: &[Change], _: Timestamp) -> Result<Vec<Outcome>, LedgerError> {
        Err(DatabaseError::ReadOnly.into())
    }

    fn run_state(&self, run: &RunRef) -> Result<Option<RunState>, LedgerError> {
        let contents = self.spool_contents();
        if contents.experiments().any(|told| told == run.experiment()) {
            let histories = self.newest_histories(&[run.experiment()].into(), &contents)?;
            let history = histories.get(run.experiment());
            let number = match run {
                RunRef::Newest(_) => history.highest(),
                RunRef::Run(run) => Some(run.number),
            };
            return Ok(number.and_then(|number| history.run_state(number)));
        }
        self.database.query(|connection| queue::run_state(connection, run))
    }

    /// Spooled records have no events yet: the database numbers them when the spool is applied.
    fn events(&self, after: u64, at_most: usize) -> Result<Vec<Event>, LedgerError> {
        self.database.query(|connection| queue::events(connection, after, at_most))
    }
}
