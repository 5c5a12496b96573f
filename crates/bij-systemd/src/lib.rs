#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
// Parts that only the units of experiments use stand beside those that every client uses.
#![cfg_attr(not(feature = "experiment"), allow(dead_code, unused_imports))]

#[cfg(feature = "blocking")]
pub mod blocking;
mod bus;
mod delegated_scope;
mod error;
#[cfg(feature = "experiment")]
pub mod experiment;
mod job;
#[cfg(feature = "journal")]
mod journal;
mod kernel_log;
mod lifecycle;
mod manager;
mod message_stream;
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
#[cfg(feature = "journal")]
pub use journal::{
    InvalidJournalRecord, Journal, JournalEnd, JournalEntries, JournalEntry, JournalError,
    JournalFilter, JournalStopper, OldestEntry,
};
pub use manager::{
    KillWhom, ListedUnit, Manager, ManagerAddress, Property, PropertyValue, StartedUnit,
    UnitDetails, UnitFileChange, UnitFileLife, UnitFilter,
};
pub use scope::RuntimeScope;
pub use transient::{
    Output, ServiceType, TransientScope, TransientService, TransientUnit, UnitEnd,
};
pub use unit_name::{InvalidUnitName, UnitKind, UnitName};
pub use watch::{UnitEvent, Watch};
