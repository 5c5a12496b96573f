#![doc = include_str!("../README.md")]

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
