#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

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
