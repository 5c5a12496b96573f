//! The store of a machine, as it is behind every fault: records that it does not take are set aside.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bij_core::port::{
    AttemptQuery, Change, Closing, Ledger, LedgerError, Opened, Opening, RunQueue,
};
use bij_core::queue::{Event, Queue, QueuedRun, RunRef, Submission};
use bij_core::{Attempt, BootId, ExperimentId, Outcome, RunState, Tally, Timestamp};

use crate::{Fault, MemoryLedger};

/// A ledger in memory with a spool: what it does not take of attempts is set aside, and taken in by
/// the next write that it does take, as the database's spool does. What is read of attempts and
/// runs is the ledger with that on top. Clones share one store.
#[derive(Clone, Debug, Default)]
pub struct SimStore {
    ledger: MemoryLedger,
    spool: Arc<Mutex<Spool>>,
}

/// What was set aside. Nothing is written to the ledger before it was taken in, so what is read
/// meanwhile need be made only once.
#[derive(Debug, Default)]
struct Spool {
    records: VecDeque<Record>,
    on_top: Option<MemoryLedger>,
}

#[derive(Clone, Debug)]
enum Record {
    Open(Opening),
    Close(Box<Closing>),
}

impl SimStore {
    /// Fails every write from now on, until told otherwise.
    pub fn fail(&self, fault: Option<Fault>) {
        self.ledger.fail(fault);
    }

    /// Loses what was set aside: the runtime directory is gone.
    pub fn lose_spool(&self) {
        *self.spool() = Spool::default();
    }

    /// What is written, without a fault and without what is set aside.
    pub const fn written(&self) -> &MemoryLedger {
        &self.ledger
    }

    fn spool(&self) -> MutexGuard<'_, Spool> {
        self.spool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_in(&mut self) -> Result<(), LedgerError> {
        let spool = Arc::clone(&self.spool);
        let mut spool = spool.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(record) = spool.records.front() {
            record.apply(&mut self.ledger)?;
            spool.records.pop_front();
        }
        spool.on_top = None;
        Ok(())
    }

    /// The ledger to read from.
    fn on_top(&self) -> MemoryLedger {
        self.spool().on_top.clone().unwrap_or_else(|| self.ledger.clone())
    }

    fn set_aside<T>(
        &self,
        record: Record,
        apply: impl FnOnce(&mut MemoryLedger) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let mut spool = self.spool();
        spool.records.push_back(record);
        apply(spool.on_top.get_or_insert_with(|| self.ledger.copy()))
    }
}

impl Record {
    fn apply(&self, ledger: &mut MemoryLedger) -> Result<(), LedgerError> {
        match self {
            Self::Open(opening) => ledger.open(opening).map(drop),
            Self::Close(closing) => ledger.close(closing).map(drop),
        }
    }
}

impl RunQueue for SimStore {
    fn load(&self) -> Result<Queue, LedgerError> {
        self.on_top().load()
    }

    fn submit(
        &mut self,
        submissions: &[Submission],
        at: Timestamp,
    ) -> Result<Vec<QueuedRun>, LedgerError> {
        self.take_in()?;
        self.ledger.submit(submissions, at)
    }

    fn change(&mut self, changes: &[Change], at: Timestamp) -> Result<Vec<Outcome>, LedgerError> {
        self.take_in()?;
        self.ledger.change(changes, at)
    }

    fn run_state(&self, run: &RunRef) -> Result<Option<RunState>, LedgerError> {
        self.on_top().run_state(run)
    }

    fn events(&self, after: u64, at_most: usize) -> Result<Vec<Event>, LedgerError> {
        self.ledger.events(after, at_most)
    }
}

impl Ledger for SimStore {
    fn open(&mut self, opening: &Opening) -> Result<Opened, LedgerError> {
        match self.take_in().and_then(|()| self.ledger.open(opening)) {
            Err(error) if error.is_transient() => {
                self.set_aside(Record::Open(opening.clone()), |ledger| ledger.open(opening))
            }
            opened => opened,
        }
    }

    fn close(&mut self, closing: &Closing) -> Result<Outcome, LedgerError> {
        match self.take_in().and_then(|()| self.ledger.close(closing)) {
            Err(error) if error.is_transient() => {
                let record = Record::Close(Box::new(closing.clone()));
                self.set_aside(record, |ledger| ledger.close(closing))
            }
            closed => closed,
        }
    }

    fn attempts(&self, query: &AttemptQuery) -> Result<Vec<Attempt>, LedgerError> {
        self.on_top().attempts(query)
    }

    fn tally(&self, experiment: &ExperimentId) -> Result<Tally, LedgerError> {
        self.on_top().tally(experiment)
    }

    fn tallies(&self) -> Result<BTreeMap<ExperimentId, Tally>, LedgerError> {
        self.on_top().tallies()
    }

    fn mark_clean_shutdown(&mut self, boot: BootId, at: Timestamp) -> Result<Outcome, LedgerError> {
        self.take_in()?;
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
    fn what_it_cannot_take_is_read_on_top_and_taken_in_later() {
        let mut store = SimStore::default();
        let opening = fixture::fresh("x", 1, 1);
        store.fail(Some(Fault::Full));
        assert_eq!(store.open(&opening).unwrap().attempt.0, 1);
        assert_eq!(store.attempts(&AttemptQuery::default()).unwrap().len(), 1);
        assert!(store.events(0, 10).unwrap().is_empty());
        store.fail(None);
        store.change(&[], Timestamp::from_micros(2)).unwrap();
        assert_eq!(store.events(0, 10).unwrap().len(), 1);
        assert_eq!(store.attempts(&AttemptQuery::default()).unwrap().len(), 1);
    }
}
