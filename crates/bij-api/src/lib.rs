//! What the coordinator and its clients say to each other over D-Bus.
//!
//! The interface `org.braininjar.Coordinator1` is at `/org/braininjar/Coordinator1`, on the system's
//! or the user's bus under the name `org.braininjar.Coordinator1`, and without a bus on the socket
//! `coordinator.sock` in the runtime directory. A [`Client`] asks it:
//!
//! ```no_run
#![doc = include_str!("../examples/watch_queue.rs")]
//! ```
//!
//! A coordinator implements [`Look`] and [`Steer`] and gives itself to a [`Server`], which knows who
//! calls and who may. Everybody may look; root and members of group `bij` may change things, and
//! in a user's own coordinator that user.
//!
//! What is said are the plain values in [`message`]; they are at the same time what `bij --json`
//! prints.
//!
//! # Invariants
//! - zbus stays inside: no type of it is public.
//! - Every call of a client has a time-out, and what it may not do is refused with the remedy.
//! - Whatever a client sends, or leaves unread, costs the others nothing: messages are measured
//!   before room is made for them, calls of one connection wait for one another, and nobody has more
//!   than their share of connections.

mod client;
mod dictionary;
#[cfg(test)]
mod fuzz;
mod limits;
pub mod message;
mod proxy;
mod queue_text;
mod refusal;
mod server;

pub use client::{Changes, Client, ClientError, WhichBus};
pub use limits::{PIECE, PIECE_OF_HISTORY};
pub use refusal::{Refusal, RefusalKind};
pub use server::{BusError, Caller, ListenError, Listener, Look, Rights, Server, Steer};
