//! The definition files of experiments: finding, reading and writing them.
//!
//! ```
//! use std::path::Path;
//!
//! use bij_core::Layout;
//! use bij_core::port::DefinitionSource as _;
//! use bij_definitions::Definitions;
//!
//! # let directory = tempfile::tempdir()?;
//! # let root = directory.path();
//! # std::fs::create_dir_all(root.join("etc/brain-in-jar/experiments"))?;
//! std::fs::write(
//!     root.join("etc/brain-in-jar/experiments/amnesiac_001.toml"),
//!     "command = [\"/usr/bin/amnesiac\"]\nlimits.memory = \"8G\"\n",
//! )?;
//! let definitions = Definitions::new(Layout::system(root));
//! let found = definitions.find(&"amnesiac_001".parse()?)?;
//! assert_eq!(found.spec.command, ["/usr/bin/amnesiac"]);
//! assert_eq!(found.spec.limits.memory, "8G".parse().ok());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Search order
//! The first file found defines the experiment: `<id>.toml` or `<id>.json` written by hand, then the
//! submitted definition, then `<id>.json` in the runner's `config_directory`, which is a config and never a
//! definition. Both `<id>.toml` and `<id>.json` in one directory are an error, because the intended file is
//! unclear. The `<id>.env` in the directory of definitions written by hand is merged into it, then the extras
//! of the run.
//!
//! The crate also writes the files with [orders](write_order) to stop, which the hooks read.
//!
//! # Trust
//! A file is trusted only if no other account than root could have written it (in a tree or below a home
//! directory: root or the caller), according to its owner and mode and those of every directory and link on
//! its path ([`bij_core::Authority`]). Only a config in `config_directory` may belong to another account; it
//! is then passed only to a command without more rights than that account.
//!
//! # Invariants
//! - Only regular files of up to 1 MiB are read, and no read waits for a pipe.
//! - Readers see a whole file or none: writers rename a synced file into place.
//! - Every result is as fresh as the files; nothing is cached between calls.

mod ad_hoc;
mod definitions;
mod fingerprint;
mod host_view;
mod listing;
mod orders;
mod permissions;
mod read;
mod replace;
mod stamp;
mod submit;
mod walk;

pub use definitions::Definitions;
pub use host_view::HostView;
pub use orders::{OrderFiles, write_order};
pub use submit::SubmitError;
pub use walk::{WalkError, Walked, authority, check_directory, open_trusted, walk};
