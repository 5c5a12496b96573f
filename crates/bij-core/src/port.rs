//! The traits that adapters implement, in terms of this crate only.

mod board;
mod boxed_units;
mod definition_error;
mod definition_source;
mod handover;
mod ledger;
mod run_queue;
mod unit_manager;

pub use board::{Board, BoardReadError, GpuClock, GpuClockError, GpuClocks, Sample, ZoneReading};
pub use boxed_units::BoxedUnits;
pub use definition_error::{DefinitionError, Problem, SourceLocation, Warning};
pub use definition_source::{DefinitionSource, FindError, FoundDefinition};
pub use handover::{Handover, HandoverError};
pub use ledger::{AttemptQuery, AttemptScan, Closing, Ledger, LedgerError, Opened, Opening};
pub use run_queue::{Change, RunQueue, newest_run};
pub use unit_manager::{Started, UnitError, UnitManager, UnitRestrainer};

/// Whether an idempotent action changed anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The requested state already existed.
    Unchanged,
    /// The action brought about the requested state.
    Changed,
}
