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

mod bus;
mod delegated_scope;
mod drop_in;
mod hook_view;
mod job;
mod journal;
mod list;
mod monotonic_clock;
mod properties;
mod proxy;
mod scope;
mod unit_manager;
mod unit_times;
mod watch;

pub use delegated_scope::{DelegatedScope, DelegatedScopeError};
pub use drop_in::{DropIn, MANAGER_NOTIFY_SOCKET, SystemdVersion};
pub use hook_view::{HookView, HookViewError, JobType, ServiceState, UnitFacts};
pub use journal::{
    AttemptSpan, InvalidJournalRecord, Journal, JournalEnd, JournalError, JournalLine,
    JournalLines, JournalQuery, JournalStopper, OldestEntry, Writer,
};
pub use scope::RuntimeScope;
pub use unit_manager::{SettingsInForce, SystemdUnits};
pub use unit_times::UnitTimes;
pub use watch::{UnitSignal, UnitWatch};
