//! Access to this host for bij's programs and for the supervisor without systemd.
//!
//! - [`HostContext`]: the paths of the system or of a user, and the boot.
//! - [`boot_id`], [`uptime`] and [`monotonic`]: the boot and its clocks.
//! - [`files`]: files that are read without trust, and written whole or not at all.
//! - [`read_progress`]: the file that an experiment writes its progress to.
//! - [`ServiceNotify`] and related functions: messages to the service manager (`sd_notify(3)`).
//! - [`confine`](fn@confine): the environment of a program that runs as root.
//! - [`logged()`]: errors that go to the log and no further.

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
