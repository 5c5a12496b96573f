//! bij's adapter to systemd: what it tells PID 1, asks PID 1, and reads from the journal.
//!
//! - [`DropIn`] renders a definition into the drop-in of its unit; it is pure text.
//! - [`SystemdUnits`] is the [`UnitManager`](bij_core::port::UnitManager) over D-Bus, for PID 1
//!   and for `systemd --user`.
//! - [`UnitWatch`] hears of every change of their units, without asking.
//! - [`Journal`] reads log lines, the manager's records about an end, and the kernel's about a kill.
//! - [`DelegatedScope`] is a control group that systemd hands to the calling process.
//! - [`HookView`] is what the hooks ask, without a runtime of their own.
//!
//! # Invariants
//! - Nothing that stands in a definition reaches a unit file unquoted.
//! - No property is cached, and every call has a time-out.
//! - zbus stays inside: no type of it is public.

mod bus;
mod delegated_scope;
mod drop_in;
mod hook_view;
mod job;
mod job_signals;
mod journal;
mod list;
mod properties;
mod proxy;
mod scope;
mod tool;
mod unit_dirs;
mod unit_manager;
mod unit_times;
mod version;
mod watch;

pub use delegated_scope::{DelegatedScope, DelegatedScopeError};
pub use drop_in::{DropIn, MANAGER_NOTIFY_SOCKET};
pub use hook_view::{HookView, HookViewError, JobType, ServiceState, UnitFacts};
pub use journal::{
    InvalidRecord, Journal, JournalBegin, JournalEnd, JournalError, Life, LogLine, LogLines,
    LogQuery, Stopper, Writer,
};
pub use scope::RuntimeScope;
pub use unit_manager::{SettingsInForce, SystemdUnits};
pub use unit_times::UnitTimes;
pub use version::SystemdVersion;
pub use watch::{UnitSignal, UnitWatch};
