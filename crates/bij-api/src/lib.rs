//! The D-Bus protocol between the coordinator and its clients.
//!
//! The interface `org.braininjar.Coordinator1` is at `/org/braininjar/Coordinator1`, on the system's
//! or the user's bus under the name `org.braininjar.Coordinator1`, and without a bus on the socket
//! `coordinator.sock` in the runtime directory. A [`Client`] calls it:
//!
//! ```no_run
#![doc = include_str!("../examples/watch_queue.rs")]
//! ```
//!
//! A coordinator implements [`RequestHandler`] and passes itself to a [`Server`], which identifies callers and checks
//! their rights. All users may send queries. Commands are for root and members of group `bij`, and for the owner of a
//! user's coordinator.
//!
//! The messages are the plain values in [`bij_core::request`], which `bij --json` prints too.
//!
//! # Invariants
//! - zbus stays inside: none of its types is public.
//! - Every call of a client has a time-out, and a refusal names the remedy.
//! - Data that a client sends, or leaves unread, costs the others nothing: the length of a message is checked before
//!   memory is allocated for it, calls of one connection are answered one after another, and the number of connections
//!   per user is limited.

mod client;
mod dictionary;
#[cfg(test)]
mod fuzz;
mod limits;
mod proxy;
mod queue_text;
mod refusal;
mod server;

pub use client::{Changes, Client, ClientError, WhichBus};
pub use refusal::{Refusal, RefusalKind};
pub use server::{
    BusError, Caller, HostCommands, ListenError, Listener, QueueCommands, QueueQueries,
    RecordQueries, RequestHandler, Rights, Server,
};
