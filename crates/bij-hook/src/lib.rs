//! The hooks of `brain-experiment@.service`, which also render definitions into its drop-ins, and the files that
//! they leave for one another and for the coordinator.
//!
//! | the unit's line | calls | purpose |
//! | --- | --- | --- |
//! | `ExecCondition=` | [`admit`](fn@admit) | decides whether the unit may start now; if so, then |
//! | | [`Begin`] | makes sure that the unit is what its definition says, opens the attempt |
//! | `ExecStart=` of the bare template | [`refusal`] | says why there is nothing to run |
//! | `ExecStop=` | [`note_leftovers`] | notes which processes the main process has left behind |
//! | `ExecStopPost=` | [`End`] | gathers evidence, decides the cause, closes the attempt |
//! | `brain-experiment-boot.service` | [`render_at_boot`] | renders every definition before anything starts |
//! | | [`boot`], [`shutdown`] | tell power cuts from shutdowns |
//!
//! The program `bij-hook` reads its arguments and environment, puts adapters together, and calls what is here.
//! The hooks themselves know ports: [`DefinitionSource`], [`Ledger`], and two small ones of their own, [`Manager`]
//! and [`Journal`].
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
mod order_file;
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
pub use attempt_record::{AttemptNumbers, AttemptRecord};
pub use begin::{Begin, BeginError, Begun};
pub use boots::{BootError, boot, shutdown};
pub use call::{CallError, HookCall, Verb};
pub use end::{End, EndError, Ended};
pub use hook_env::HookEnv;
pub use journal::{Journal, JournalError, LoggedEnd};
pub use leftovers::note_leftovers;
pub use logging::{AboutUnit, start_logging};
pub use manager::{Manager, ManagerError};
pub use open_ledger::ledger;
pub use order_file::read_order;
pub use owner::OwnerError;
pub use refuse::{Refusal, refusal};
pub use render::{RenderError, Rendered, render_at_boot, render_missing};
pub use systemd::{ELSEWHERE, Systemd, SystemdJournal, is_elsewhere, manager_socket, scope};
pub use unclosed::{find_end, log_unclosed};

pub(crate) use sentence::sentence;
