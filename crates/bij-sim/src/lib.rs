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
//!
//! [`MemoryLedger`] is a ledger and the queue of its runs in one, as the database is.
//! [`SimUnits`] is a service manager with a clock of its own; [`contract::unit_manager_contract`]
//! judges it, systemd and bij's own supervisor alike. [`Machine`] puts all models together, with
//! clocks, hooks and a plug that can be pulled; [`Fused`] kills who uses a port at any of its calls.
//! [`heat`] is a board that grows hot under load, for policies to be judged by.

mod board;
mod clock;
pub mod contract;
mod fault;
mod gpu_clock;
pub mod heat;
mod ledger;
mod queue;
mod unit_manager;
mod world;

pub use board::SimBoard;
pub use clock::SimClock;
pub use fault::{Fuse, Fused, Killed};
pub use gpu_clock::SimGpuClock;
pub use ledger::{Fault, MemoryLedger};
pub use unit_manager::{
    Ending, Hook, HookCall, Life, LifeEnd, Script, SimUnits, StartFault, UnitFault,
};
pub use world::{Machine, SimDefinitions, SimHandover, SimStore};
