//! The hooks of `brain-experiment@.service`, which also render definitions into its drop-ins, and the files in which
//! they pass data to one another and to the coordinator.
//!
//! | the unit's line | calls | purpose |
//! | --- | --- | --- |
//! | `ExecCondition=` | [`admit`](fn@admit) | decides whether the unit may start now; if so, then |
//! | | [`HookContext::begin`] | makes sure that the unit matches its definition, opens the attempt |
//! | `ExecStart=` of the bare template | [`NoCommand::diagnose`] | says why there is nothing to run |
//! | `ExecStop=` | [`note_leftovers`] | records which processes the main process has left behind |
//! | `ExecStopPost=` | [`HookContext::end`] | gathers evidence, decides the cause, closes the attempt |
//! | `brain-experiment-boot.service` | [`render_at_boot`] | renders every definition before anything starts |
//! | | [`boot`], [`shutdown`] | distinguish power cuts from shutdowns |
//!
//! The program `bij-hook` reads its arguments and environment, connects the adapters, and calls these functions.
//! The hooks themselves know only ports: [`DefinitionSource`], [`Ledger`], and two small ones of their own,
//! [`HookManager`] and [`HookJournal`].
//!
//! # Invariants
//! - Trouble with the ledger never stops a start, and a killed hook never changes systemd's result.
//! - A start whose definition is unchanged and whose last attempt did not crash does not call the service manager.
//! - Files that an experiment controls are read without trust: no links are followed, no read blocks, and the size is
//!   bounded.
//!
//! [`DefinitionSource`]: bij_core::port::DefinitionSource
//! [`Ledger`]: bij_core::port::Ledger

mod adapters;
mod admit;
mod arguments;
mod attempt_record;
mod begin;
pub mod deferred_start;
mod end;
mod exit_status;
mod hook_context;
mod hook_env;
mod logging;
mod own_cgroup;
mod render;
mod runnable;
mod sentence;
mod start_limit;
#[cfg(test)]
mod testing;
mod unclosed;

pub use adapters::{
    FOREIGN_ROOT, Systemd, SystemdJournal, is_foreign_root, manager_socket, open_ledger,
    runtime_scope,
};
pub use admit::{NotAdmitted, admit};
pub use arguments::{ArgumentsError, HookArguments, Verb};
pub use attempt_record::{AttemptNumbers, AttemptRecord, read_order};
pub use begin::{BeginError, Begun, OwnerError};
pub use end::{EndError, Ended};
pub use hook_context::{HookContext, HookJournal, HookJournalError, HookManager, HookManagerError};
pub use hook_env::HookEnv;
pub use logging::{LoggedUnit, start_logging};
pub use own_cgroup::note_leftovers;
pub use render::{RenderError, Rendered, render_at_boot, render_missing};
pub use runnable::NoCommand;
pub use unclosed::{BootError, boot, find_end, log_unclosed, shutdown};

pub(crate) use sentence::describe_end;
