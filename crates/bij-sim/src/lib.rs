//! Models of bij's ports, and the contract suites that judge models and adapters alike.
//!
//! A model keeps state, can be made to fail, and needs no machine: code that is generic over a port
//! is tested with it. The same [`contract`] judges the model and the real adapter, which keeps the
//! model faithful:
//!
//! ```
//! use bij_sim::{MemoryLedger, contract};
//!
//! contract::ledger_contract(MemoryLedger::default);
//! ```
//!
//! [`MemoryLedger`] is a ledger and the queue of its runs, as the database is. It follows the rules by other means than
//! SQL, so that tests can compare the two; a program that wants a ledger in memory takes `bij_store::Store::in_memory`.
//!
//! [`SimUnits`] is a service manager with its own clock; [`contract::unit_manager_contract`] and
//! [`contract::unit_restrainer_contract`] judge it, systemd and bij's own supervisor. [`SimMachine`]
//! combines all models, with clocks, hooks and power cuts; [`KillablePort`] kills the user of a port at any of
//! its calls.

mod board;
mod clock;
pub mod contract;
mod kill_switch;
mod ledger;
mod queue;
mod unit_manager;
mod world;

pub use board::{SimBoard, SimGpuClock};
pub use clock::SimClock;
pub use kill_switch::{KillSwitch, KillablePort, Killed};
pub use ledger::{LedgerFault, MemoryLedger};
pub use unit_manager::{
    Hook, Script, ScriptedAttempt, ScriptedEnd, SimEnding, SimHookCall, SimUnits, StartFault,
    UnitFault,
};
pub use world::{SimDefinitions, SimHandover, SimMachine, SimStore};
