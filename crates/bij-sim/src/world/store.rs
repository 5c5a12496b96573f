//! The store of a simulated machine: a ledger with a spool.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bij_core::port::{
    AttemptQuery, Change, Closing, Ledger, LedgerError, Opened, Opening, RunQueue,
};
use bij_core::queue::{Event, Queue, QueuedRun, RunRef, Submission};
use bij_core::{Attempt, BootId, ExperimentId, Outcome, RunState, Tally, Timestamp};

use crate::{LedgerFault, MemoryLedger};

/// A ledger in memory with a spool, like the database's: attempts that the ledger cannot record are
/// spooled, and replayed before the next successful write. Attempts and runs are read as if the
/// spool had been replayed. Clones share one store.
#[derive(Clone, Debug, Default)]
pub struct SimStore {
    ledger: MemoryLedger,
    spool: Arc<Mutex<SpoolModel>>,
}

/// Spooled records. The ledger does not change before they are replayed, so the copy to read from
/// is made once.
#[derive(Debug, Default)]
struct SpoolModel {
    records: VecDeque<SpooledAttempt>,
    overlay: Option<MemoryLedger>,
}

#[derive(Clone, Debug)]
enum SpooledAttempt {
    Open(Opening),
    Close(Box<Closing>),
}

impl SimStore {
    /// Fails every write until the fault is removed.
    pub fn fail(&self, fault: Option<LedgerFault>) {
        self.ledger.fail(fault);
    }

    /// Loses the spool: the runtime directory is gone.
    pub fn lose_spool(&self) {
        *self.spool() = SpoolModel::default();
    }

    /// Returns the ledger itself, without the spool.
    pub const fn written(&self) -> &MemoryLedger {
        &self.ledger
    }

    fn spool(&self) -> MutexGuard<'_, SpoolModel> {
        self.spool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replay(&mut self) -> Result<(), LedgerError> {
        let spool = Arc::clone(&self.spool);
        let mut spool = spool.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(record) = spool.records.front() {
            record.apply(&mut self.ledger)?;
            spool.records.pop_front();
        }
        spool.overlay = None;
        Ok(())
    }

    /// Returns the ledger to read from.
    fn overlay(&self) -> MemoryLedger {
        self.spool().overlay.clone().unwrap_or_else(|| self.ledger.clone())
    }

    fn set_aside<T>(
        &self,
        record: SpooledAttempt,
        apply: impl FnOnce(&mut MemoryLedger) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let mut spool = self.spool();
        spool.records.push_back(record);
        apply(spool.overlay.get_or_insert_with(|| self.ledger.copy()))
    }
}

impl SpooledAttempt {
    fn apply(&self, ledger: &mut MemoryLedger) -> Result<(), LedgerError> {
        match self {
            Self::Open(opening) => ledger.open(opening).map(drop),
            Self::Close(closing) => ledger.close(closing).map(drop),
        }
    }
}

impl RunQueue for SimStore {
    fn load(&self) -> Result<Queue, LedgerError> {
        self.overlay().load()
    }

    fn submit(
        &mut self,
        submissions: &[Submission],
        at: Timestamp,
    ) -> Result<Vec<QueuedRun>, LedgerError> {
        self.replay()?;
        self.ledger.submit(submissions, at)
    }

    fn change(&mut self, changes: &[Change], at: Timestamp) -> Result<Vec<Outcome>, LedgerError> {
        self.replay()?;
        self.ledger.change(changes, at)
    }

    fn run_state(&self, run: &RunRef) -> Result<Option<RunState>, LedgerError> {
        self.overlay().run_state(run)
    }

    fn events(&self, after: u64, at_most: usize) -> Result<Vec<Event>, LedgerError> {
        self.ledger.events(after, at_most)
    }
}

impl Ledger for SimStore {
    fn open(&mut self, opening: &Opening) -> Result<Opened, LedgerError> {
        match self.replay().and_then(|()| self.ledger.open(opening)) {
            Err(error) if error.is_transient() => {
                self.set_aside(SpooledAttempt::Open(opening.clone()), |ledger| ledger.open(opening))
            }
            opened => opened,
        }
    }

    fn close(&mut self, closing: &Closing) -> Result<Outcome, LedgerError> {
        match self.replay().and_then(|()| self.ledger.close(closing)) {
            Err(error) if error.is_transient() => {
                let record = SpooledAttempt::Close(Box::new(closing.clone()));
                self.set_aside(record, |ledger| ledger.close(closing))
            }
            closed => closed,
        }
    }

    fn attempts(&self, query: &AttemptQuery) -> Result<Vec<Attempt>, LedgerError> {
        self.overlay().attempts(query)
    }

    fn tally(&self, experiment: &ExperimentId) -> Result<Tally, LedgerError> {
        self.overlay().tally(experiment)
    }

    fn tallies(&self) -> Result<BTreeMap<ExperimentId, Tally>, LedgerError> {
        self.overlay().tallies()
    }

    fn mark_clean_shutdown(&mut self, boot: BootId, at: Timestamp) -> Result<Outcome, LedgerError> {
        self.replay()?;
        self.ledger.mark_clean_shutdown(boot, at)
    }

    fn ended_cleanly(&self, boot: BootId) -> Result<bool, LedgerError> {
        self.ledger.ended_cleanly(boot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{
        ledger_contract, ledger_fixture as fixture, run_queue_contract, shared_ledger_contract,
        shared_run_queue_contract,
    };

    #[test]
    fn it_keeps_the_contract() {
        ledger_contract(SimStore::default);
        let one = SimStore::default();
        shared_ledger_contract(|| one.clone());
        run_queue_contract(SimStore::default);
        let one = SimStore::default();
        shared_run_queue_contract(|| one.clone());
    }

    #[test]
    fn spooled_records_are_read_and_replayed_later() {
        let mut store = SimStore::default();
        let opening = fixture::fresh("x", 1, 1);
        store.fail(Some(LedgerFault::Full));
        assert_eq!(store.open(&opening).unwrap().attempt.0, 1);
        assert_eq!(store.attempts(&AttemptQuery::default()).unwrap().len(), 1);
        assert!(store.events(0, 10).unwrap().is_empty());
        store.fail(None);
        store.change(&[], Timestamp::from_micros(2)).unwrap();
        assert_eq!(store.events(0, 10).unwrap().len(), 1);
        assert_eq!(store.attempts(&AttemptQuery::default()).unwrap().len(), 1);
    }
}
