//! bij's queue, its policy, and the loop that carries decisions out, for any program that brings its own
//! [adapters](Adapters).
//!
//! ```
#![doc = include_str!("../examples/embed.rs")]
//! ```
//!
//! - [`policy::decide`] returns what to do now and why runs wait, from values alone.
//! - [`Coordinator`] is the loop: it observes, decides, executes and records, and answers requests in
//!   between.
//! - [`thermal::Ladder`] decides how experiments are restrained when the board is hot.
//! - [`serve()`] runs a coordinator for many concurrent callers, each with a [`Handle`].
//!
//! # Invariants
//! - The crate has no clock, file, process or bus: its `clippy.toml` disallows them. Time comes in as
//!   [`Now`], everything else through ports.
//! - Acknowledged requests are in the store, and decisions are there before they are executed.
//! - A coordinator may be killed between any two steps: the next one finds everything in the store and in
//!   the state of the units, and disturbs no running unit.

mod clock;
mod coordinator;
mod entry_writer;
mod error;
mod plan;
pub mod policy;
mod ports;
mod request;
mod serve;
mod terms;
pub mod thermal;

pub use clock::{Clock, Now};
pub use coordinator::{Coordinator, Finished, PowerSwitchOutcome};
pub use error::RequestError;
pub use plan::MAX_AT_ONCE;
pub use policy::Health;
pub use ports::{AdapterSet, Adapters, Ports};
pub use request::{StartRequest, SubmitRequest};
pub use serve::{Gone, Handle, Inbox, serve};
