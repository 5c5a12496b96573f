//! Models of bij's ports, and the contract suites that judge models and adapters alike.
//!
//! A model keeps state, can be told to fail, and needs no machine: what is generic over a port is
//! tested with it. What keeps a model honest is that the same [`contract`] judges it and the real
//! thing:
//!
//! ```
//! use bij_sim::{MemoryLedger, contract};
//!
//! contract::ledger_contract(MemoryLedger::default);
//! ```

pub mod contract;
mod ledger;

pub use ledger::{Fault, MemoryLedger};
