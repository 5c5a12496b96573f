//! Who may start now, and why the others wait: bij's queue, its policy, and the loop that carries it
//! out, for any program that brings its own [adapters](Adapters).
//!
//! ```
#![doc = include_str!("../examples/embed.rs")]
//! ```
//!
//! - [`policy::decide`] says what is to be done, from values alone.
//! - [`Coordinator`] is the loop: it observes, decides, has it done and records it, and answers what
//!   is asked of it meanwhile.
//! - [`heat::Ladder`] says what is to be done when the board grows hot.
//! - [`serve()`] runs it where many ask at the same time, each with a [`Handle`].
//!
//! # Invariants
//! - No clock, no file, no process, no bus: `clippy.toml` of this crate disallows them. Time comes in
//!   as [`Now`], everything else through ports.
//! - What is acknowledged is in the store; what is decided is there before it is done.
//! - It may be killed between any two steps: the next one finds everything in the store and in what
//!   the units are like, and disturbs nothing that runs.

mod coordinator;
mod error;
mod handle;
mod health;
pub mod heat;
mod now;
pub mod policy;
mod ports;
mod request;
mod serve;
mod terms;

pub use coordinator::{Coordinator, Finished, Lives, MAX_AT_ONCE, PowerTold};
pub use error::RequestError;
pub use handle::{Gone, Handle, Inbox};
pub use health::Health;
pub use now::Now;
pub use ports::{Adapters, Ports, Together};
pub use request::{
    Act, Acted, Admission, Earliest, Edit, GroupStatus, HealthReport, Listed, MoveTo, Status,
    Submit, SubmitRequest, Verdict, Why,
};
pub use serve::{Clock, serve};
