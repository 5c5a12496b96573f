//! The queue beside what is set aside.

use bij_core::port::{Change, LedgerError, RunQueue};
use bij_core::queue::{Event, Queue, QueuedRun, RunRef, Submission};
use bij_core::{Outcome, RunState, Timestamp};

use super::RobustLedger;

/// Nothing of the queue is set aside: what the database cannot take is refused, for who has asked
/// is still there to be told so.
impl RunQueue for RobustLedger {
    fn load(&self) -> Result<Queue, LedgerError> {
        self.reader.load()
    }

    fn submit(
        &mut self,
        submissions: &[Submission],
        at: Timestamp,
    ) -> Result<Vec<QueuedRun>, LedgerError> {
        self.write(|store| store.submit(submissions, at))
    }

    fn change(&mut self, changes: &[Change], at: Timestamp) -> Result<Vec<Outcome>, LedgerError> {
        self.write(|store| store.change(changes, at))
    }

    fn run_state(&self, run: &RunRef) -> Result<Option<RunState>, LedgerError> {
        self.reader.run_state(run)
    }

    fn events(&self, after: u64, at_most: usize) -> Result<Vec<Event>, LedgerError> {
        self.reader.events(after, at_most)
    }
}
