//! The database keeps the contract of the ledger.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use bij_core::port::{AttemptQuery, Closing, Ledger, LedgerError, Opened, Opening};
use bij_core::{Attempt, BootId, ExperimentId, Outcome, Tally, Timestamp};
use bij_sim::MemoryLedger;
use bij_sim::contract::{
    ledger_contract, run_queue_contract, shared_ledger_contract, shared_run_queue_contract,
};
use bij_store::{RobustLedger, Store};

use crate::lock::Lock;

#[test]
fn the_store_keeps_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    let number = Cell::new(0);
    ledger_contract(|| {
        number.set(number.get() + 1);
        Store::open(directory.path().join(format!("{}.db", number.get()))).unwrap()
    });
}

#[test]
fn the_store_keeps_the_contract_of_the_queue() {
    let directory = tempfile::tempdir().unwrap();
    let number = Cell::new(0);
    run_queue_contract(|| {
        number.set(number.get() + 1);
        Store::open(directory.path().join(format!("{}.db", number.get()))).unwrap()
    });
    let path = directory.path().join("state.db");
    shared_run_queue_contract(|| Store::open(&path).unwrap());
}

#[test]
fn the_robust_ledger_keeps_the_contract_of_the_queue_while_the_database_works() {
    let directory = tempfile::tempdir().unwrap();
    let number = Cell::new(0);
    run_queue_contract(|| {
        number.set(number.get() + 1);
        let path = directory.path().join(number.get().to_string());
        RobustLedger::new(path.join("state.db"), path.join("spool"))
    });
    let path = directory.path();
    shared_run_queue_contract(|| RobustLedger::new(path.join("state.db"), path.join("spool")));
}

#[test]
fn many_connections_keep_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    shared_ledger_contract(|| Store::open(&path).unwrap());
}

#[test]
fn the_robust_ledger_keeps_the_contract_while_the_database_works() {
    let directory = tempfile::tempdir().unwrap();
    let number = Cell::new(0);
    ledger_contract(|| {
        number.set(number.get() + 1);
        let path = directory.path().join(number.get().to_string());
        RobustLedger::new(path.join("state.db"), path.join("spool"))
    });
    let path = directory.path();
    shared_ledger_contract(|| RobustLedger::new(path.join("state.db"), path.join("spool")));
}

/// A ledger whose database is locked: every attempt is in the spool. The model keeps the marks of clean
/// shutdowns, which are never spooled.
struct LockedLedger {
    ledger: RobustLedger,
    marks: MemoryLedger,
    _lock: Lock,
    _directory: tempfile::TempDir,
}

impl LockedLedger {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database = directory.path().join("state.db");
        drop(Store::open(&database).unwrap());
        let ledger = RobustLedger::new(database.clone(), directory.path().join("spool"))
            .with_busy_timeout(Duration::ZERO);
        let marks = MemoryLedger::default();
        Self { ledger, marks, _lock: Lock::hold(&database), _directory: directory }
    }
}

impl Ledger for LockedLedger {
    fn open(&mut self, opening: &Opening) -> Result<Opened, LedgerError> {
        self.ledger.open(opening)
    }
    fn close(&mut self, closing: &Closing) -> Result<Outcome, LedgerError> {
        self.ledger.close(closing)
    }
    fn attempts(&self, query: &AttemptQuery) -> Result<Vec<Attempt>, LedgerError> {
        self.ledger.attempts(query)
    }
    fn tally(&self, experiment: &ExperimentId) -> Result<Tally, LedgerError> {
        self.ledger.tally(experiment)
    }
    fn tallies(&self) -> Result<BTreeMap<ExperimentId, Tally>, LedgerError> {
        self.ledger.tallies()
    }
    fn mark_clean_shutdown(&mut self, boot: BootId, at: Timestamp) -> Result<Outcome, LedgerError> {
        self.marks.mark_clean_shutdown(boot, at)
    }
    fn ended_cleanly(&self, boot: BootId) -> Result<bool, LedgerError> {
        self.marks.ended_cleanly(boot)
    }
}

#[test]
fn the_robust_ledger_keeps_the_contract_while_the_database_cannot_be_written() {
    ledger_contract(LockedLedger::new);
}
