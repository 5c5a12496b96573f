//! What the programs and the supervisor of bij read from this host.
//!
//! - [`boot_id`], [`uptime`] and [`monotonic`]: the boot and its clocks.
//! - [`read_progress`]: the file that an experiment writes its progress to.

mod boot;
mod progress;

pub use boot::{boot_id, monotonic, uptime};
pub use progress::read_progress;
