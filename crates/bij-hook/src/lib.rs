//! The hooks of `brain-experiment@.service`, which also render definitions into its drop-ins, and the files in which
//! they pass data to one another and to the coordinator.
//!
//! | the unit's line | calls | purpose |
//! | --- | --- | --- |
//! | `ExecCondition=` | [`admit`](fn@admit) | decides whether the unit may start now; if so, then |
//! | | [`Begin`] | makes sure that the unit matches its definition, opens the attempt |
//! | `ExecStart=` of the bare template | [`refusal`] | says why there is nothing to run |
//! | `ExecStop=` | [`note_leftovers`] | records which processes the main process has left behind |
//! | `ExecStopPost=` | [`End`] | gathers evidence, decides the cause, closes the attempt |
//! | `brain-experiment-boot.service` | [`render_at_boot`] | renders every definition before anything starts |
//! | | [`boot`], [`shutdown`] | distinguish power cuts from shutdowns |
//!
//! The program `bij-hook` reads its arguments and environment, connects the adapters, and calls these functions.
//! The hooks themselves know only ports: [`DefinitionSource`], [`Ledger`], and two small ones of their own,
//! [`Manager`] and [`Journal`].
//!
//! # Invariants
//! - Trouble with the ledger never stops a start, and a killed hook never changes systemd's result.
//! - A start whose definition is unchanged and whose last attempt did not crash does not call the service manager.
//! - Files that an experiment controls are read without trust: no links are followed, no read blocks, and the size is
//!   bounded.
//!
//! [`DefinitionSource`]: bij_core::port::DefinitionSource
//! [`Ledger`]: bij_core::port::Ledger

mod admit;
mod attempt_env;
mod attempt_record;
mod begin;
mod boots;
mod call;
mod counters;
pub mod deferred_start;
mod end;
mod exit_status;
mod gpu;
mod hook_env;
mod journal;
mod leftovers;
mod logging;
mod manager;
mod open_ledger;
mod owner;
mod refuse;
mod render;
mod runnable;
mod sentence;
mod status_meaning;
mod systemd;
#[cfg(test)]
mod testing;
mod unclosed;

pub use admit::{NotAdmitted, admit};
pub use attempt_record::{AttemptNumbers, AttemptRecord, read_order};
pub use begin::{Begin, BeginError, Begun};
pub use boots::{BootError, boot, shutdown};
pub use call::{CallError, HookCall, Verb};
pub use end::{End, EndError, Ended};
pub use hook_env::HookEnv;
pub use journal::{Journal, JournalError, LoggedEnd};
pub use leftovers::note_leftovers;
pub use logging::{LoggedUnit, start_logging};
pub use manager::{Manager, ManagerError};
pub use open_ledger::open_ledger;
pub use owner::OwnerError;
pub use refuse::{Refusal, refusal};
pub use render::{RenderError, Rendered, render_at_boot, render_missing};
pub use systemd::{
    FOREIGN_ROOT, Systemd, SystemdJournal, is_foreign_root, manager_socket, runtime_scope,
};
pub use unclosed::{find_end, log_unclosed};

pub(crate) use sentence::describe_end;
