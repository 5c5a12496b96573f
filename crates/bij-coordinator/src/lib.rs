//! Who may start now, and why the others wait.

mod handle;
mod health;
mod now;
pub mod policy;
mod request;

pub use health::Health;
pub use now::Now;
pub use request::{
    Act, Acted, Admission, Edit, GroupStatus, HealthReport, Listed, MoveTo, Status, Submit,
    SubmitRequest, Verdict, Why,
};
