#![doc = include_str!("../README.md")]

mod boot;
mod confine;
mod context;
pub mod files;
mod logged;
mod notify;
mod progress;

pub use boot::{boot_id, monotonic, uptime};
pub use confine::confine;
pub use context::{HostContext, HostContextError};
pub use logged::logged;
pub use notify::{ServiceNotify, ask_for_time, report_status, set_watchdog};
pub use progress::read_progress;
