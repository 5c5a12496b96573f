#![doc = include_str!("../README.md")]

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
