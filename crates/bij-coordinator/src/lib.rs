//! Who may start now, and why the others wait.

mod coordinator;
mod error;
mod handle;
mod health;
mod now;
pub mod policy;
mod ports;
mod request;
mod serve;
mod terms;

pub use coordinator::{Coordinator, Finished, MAX_AT_ONCE};
pub use error::RequestError;
pub use handle::{Gone, Handle, Inbox};
pub use health::Health;
pub use now::Now;
pub use ports::{Adapters, Ports};
pub use request::{
    Act, Acted, Admission, Edit, GroupStatus, HealthReport, Listed, MoveTo, Status, Submit,
    SubmitRequest, Verdict, Why,
};
pub use serve::{Clock, serve};
