//! The queue for those who may only look.

use bij_core::port::{Change, LedgerError, RunQueue};
use bij_core::queue::{Event, Queue, QueuedRun, RunRef, Submission};
use bij_core::{History, Outcome, RunState, Timestamp};

use super::Reader;
use crate::failure::Failure;
use crate::queue;

impl RunQueue for Reader {
    fn load(&self) -> Result<Queue, LedgerError> {
        let contents = self.set_aside();
        let mut queue = self.database.ask(queue::load)?;
        if !contents.records.is_empty() {
            let histories = self.newest_histories(&contents.experiments().collect(), &contents)?;
            queue.runs.retain(|queued| !histories.of_one.contains_key(&queued.run.experiment));
            queue.runs.extend(histories.of_one.values().flat_map(History::queued).cloned());
        }
        Ok(queue)
    }

    /// Always [`LedgerError::Denied`].
    fn submit(&mut self, _: &[Submission], _: Timestamp) -> Result<Vec<QueuedRun>, LedgerError> {
        Err(Failure::ReadOnly.into())
    }

    /// Always [`LedgerError::Denied`].
    fn change(&mut self, _: &[Change], _: Timestamp) -> Result<Vec<Outcome>, LedgerError> {
        Err(Failure::ReadOnly.into())
    }

    fn run_state(&self, run: &RunRef) -> Result<Option<RunState>, LedgerError> {
        let contents = self.set_aside();
        if contents.experiments().any(|told| told == run.experiment()) {
            let histories = self.newest_histories(&[run.experiment()].into(), &contents)?;
            let history = histories.of(run.experiment());
            let number = match run {
                RunRef::Newest(_) => history.highest(),
                RunRef::Run(run) => Some(run.number),
            };
            return Ok(number.and_then(|number| history.run_state(number)));
        }
        self.database.ask(|connection| queue::run_state(connection, run))
    }

    /// What is set aside has no number yet, and shows when the database has taken it in.
    fn events(&self, after: u64, at_most: usize) -> Result<Vec<Event>, LedgerError> {
        self.database.ask(|connection| queue::events(connection, after, at_most))
    }
}
