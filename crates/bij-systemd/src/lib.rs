//! bij's adapter to systemd: calls to PID 1 over D-Bus, drop-ins, and the journal.
//!
//! - [`DropIn`] renders a definition into the drop-in of its unit, as pure text.
//! - [`SystemdUnits`] is the [`UnitManager`](bij_core::port::UnitManager) over D-Bus, for PID 1
//!   and for `systemd --user`.
//! - [`UnitWatch`] receives signals about changes of experiments' units; it never polls.
//! - [`Journal`] reads log lines, the manager's records of an attempt's end, and the kernel's records of OOM kills.
//! - [`DelegatedScope`] is a control group that systemd delegates to the calling process.
//! - [`HookView`] makes blocking queries for the hooks, which have no async runtime.
//!
//! # Invariants
//! - Every value from a definition is quoted in the unit file.
//! - No property is cached, and every call has a time-out.
//! - No zbus type is public.

#[cfg(feature = "blocking")]
pub mod blocking;
mod bus;
mod delegated_scope;
mod error;
pub mod experiment;
mod job;
mod journal;
mod lifecycle;
mod manager;
mod monotonic_clock;
mod properties;
mod proxy;
mod scope;
mod transient;
mod unit_name;
mod watch;

pub use delegated_scope::{DelegatedScope, DelegatedScopeError};
pub use error::{ManagerError, Operation};
pub use job::{JobKind, JobMode, JobSuccess};
pub use journal::{
    AttemptSpan, InvalidJournalRecord, Journal, JournalEnd, JournalEntries, JournalEntry,
    JournalError, JournalFilter, JournalLine, JournalLines, JournalQuery, JournalStopper,
    OldestEntry, Writer,
};
pub use manager::{
    CpuSet, KillWhom, ListedUnit, Manager, ManagerAddress, Property, PropertyValue, StartedUnit,
    UnitDetails, UnitFileChange, UnitFileLife, UnitFilter,
};
pub use scope::RuntimeScope;
pub use transient::{
    Output, ServiceType, TransientScope, TransientService, TransientUnit, UnitEnd,
};
pub use unit_name::{InvalidUnitName, UnitKind, UnitName};
pub use watch::{UnitEvent, Watch};
