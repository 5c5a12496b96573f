//! The store, through its public seams and real faults.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod contract;
mod lock;
mod robust;
