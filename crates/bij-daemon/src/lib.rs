//! What systemd calls: the hooks of `brain-experiment@.service`, which also render definitions into its
//! drop-ins, and the coordinator.
//!
//! | the unit's line | calls | which |
//! | --- | --- | --- |
//! | `ExecCondition=` | [`admit`](fn@admit) | says whether it may start now; if so, then |
//! | | [`Begin`] | makes sure that the unit is what its definition says, opens the attempt |
//! | `ExecStart=` of the bare template | [`refusal`] | says why there is nothing to run |
//! | `ExecStop=` | [`note_leftovers`] | notes what the main process has left behind |
//! | `ExecStopPost=` | [`End`] | gathers evidence, decides the cause, closes the attempt |
//! | `brain-experiment-boot.service` | [`render_at_boot`] | renders every definition before anything starts |
//! | | [`boot`], [`shutdown`] | tell power cuts from shutdowns |
//!
//! The program `bij-hook` is thin: it reads its arguments and environment, puts adapters together, and
//! calls what is here. This crate is the only one that names
//! adapters for it; the hooks themselves know ports: [`DefinitionSource`], [`Ledger`], and the
//! two small ones of their own, [`Manager`] and [`Journal`].
//!
//! # Invariants
//! - Trouble with the ledger never stops a start, and a killed hook never changes systemd's result.
//! - A start whose definition is unchanged and whose last attempt did not crash asks nothing of the
//!   service manager.
//! - Files that an experiment controls are read without trust: no links, no waiting, no more than a
//!   known size.
//!
//! [`DefinitionSource`]: bij_core::port::DefinitionSource
//! [`Ledger`]: bij_core::port::Ledger

mod admit;
mod asked;
mod attempt_env;
mod begin;
mod boots;
mod call;
mod confine;
mod coordinator;
mod counters;
mod end;
mod exit_status;
mod files;
mod gpu;
mod journal;
mod late;
mod leftovers;
mod logging;
mod manager;
mod notify;
mod notify_filter;
mod open_ledger;
mod order_file;
mod owner;
mod place;
mod record;
mod refuse;
mod render;
mod runnable;
mod runtime;
mod sentence;
mod status_meaning;
mod systemd;
#[cfg(test)]
mod testing;
mod told;

pub use admit::{NotAdmitted, admit};
pub use begin::{Begin, BeginError, Begun};
pub use boots::{BootError, boot, shutdown};
pub use call::{CallError, HookCall, Verb};
pub use confine::confine;
pub use coordinator::{
    CoordinatorCall, CoordinatorUsage, Glance, HandoverFiles, Hour, Moment, Recorder, SystemClock,
    run_coordinator,
};
pub use end::{End, EndError, Ended};
pub use journal::{Journal, JournalError, LoggedEnd};
pub use leftovers::note_leftovers;
pub use logging::{AboutUnit, start_logging};
pub use manager::{Manager, ManagerError};
pub use notify::{ask_for_time, tell_status};
pub use notify_filter::{FilterError, filter_notifications};
pub use open_ledger::ledger;
pub use owner::OwnerError;
pub use place::{Place, PlaceError};
pub use refuse::{Refusal, refusal};
pub use render::{RenderError, Rendered, render_at_boot, render_missing};
pub use systemd::{Systemd, SystemdJournal};
pub use told::Told;

pub(crate) use sentence::sentence;
