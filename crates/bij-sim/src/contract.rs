//! Contract suites: what every implementation of a port must do. A violated clause panics.

mod board;
mod ledger;
mod run_queue;
mod unit_manager;
mod unit_restrainer;

pub use board::{board_contract, gpu_clock_contract};
pub use ledger::{fixture as ledger_fixture, ledger_contract, shared_ledger_contract};
pub use run_queue::{fixture as run_queue_fixture, run_queue_contract, shared_run_queue_contract};
pub use unit_manager::{Behaviour, UnitLab, unit_manager_contract};
pub use unit_restrainer::unit_restrainer_contract;
