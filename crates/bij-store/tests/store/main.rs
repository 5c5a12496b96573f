//! The store through its public interface and under real faults.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod board;
mod child;
mod contract;
mod crash_ledger;
mod export;
mod faults;
mod lock;
mod memory;
mod properties;
mod queue;
mod reader;
mod replaced;
mod robust;
mod schema;
