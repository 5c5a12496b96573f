//! bij's adapter to systemd: what it tells PID 1, asks PID 1, and reads from the journal.
//!
//! - [`DropIn`] renders a definition into the drop-in of its unit; it is pure text.
//!
//! # Invariants
//! - Nothing that stands in a definition reaches a unit file unquoted.

mod drop_in;
mod scope;

pub use drop_in::{DropIn, RENDERER_VERSION};
pub use scope::RuntimeScope;
