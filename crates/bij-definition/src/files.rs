//! Definition files on disk: finding, reading and writing them.

mod definitions;
mod fingerprint;
mod host_view;
mod listing;
mod orders;
mod permissions;
mod read;
mod replace;
mod submit;
mod walk;

pub use definitions::Definitions;
pub use host_view::HostView;
pub use orders::{OrderFiles, write_order};
pub use submit::SubmitError;
pub use walk::{WalkError, Walked, authority, check_directory, open_trusted, walk};
