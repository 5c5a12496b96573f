//! The database keeps the contract of the ledger.

use std::cell::Cell;

use bij_sim::contract::{ledger_contract, shared_ledger_contract};
use bij_store::Store;

#[test]
fn the_store_keeps_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    let number = Cell::new(0);
    ledger_contract(|| {
        number.set(number.get() + 1);
        Store::open(&directory.path().join(format!("{}.db", number.get()))).unwrap()
    });
}

#[test]
fn many_connections_keep_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    shared_ledger_contract(|| Store::open(&path).unwrap());
}
