//! What the coordinator and its clients say to each other over D-Bus.

mod client;
mod dictionary;
mod limits;
pub mod message;
mod proxy;
mod refusal;

pub use client::{Changes, Client, ClientError, WhichBus};
pub use refusal::{Refusal, RefusalKind};
