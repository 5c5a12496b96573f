//! The definition files of experiments: where they are looked for, read and written.
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
//! # Where one experiment's definition comes from
//! The first of these that is there: `<id>.toml` or `<id>.json` written by hand, the one that was
//! submitted, `<id>.json` in the runner's `config_directory`, which is a config and never a definition.
//! Two in one directory are an error, because nobody can tell which one was meant. Over it are laid the
//! `<id>.env` beside the ones written by hand, and what was given for one run only.
//!
//! What else is put down in files for the hooks to find are [orders](put_down) to stop.
//!
//! # Whose word counts
//! A file settles something only if no other account than root could have written it (in a tree or below
//! a home directory: root or the caller), which its owner, its mode and those of everything that leads to
//! it decide ([`bij_core::Authority`]). Only a config in `config_directory` may belong to another account,
//! and is then given to nothing that has more rights than that account.
//!
//! # Invariants
//! - Nothing is read but regular files of up to 1 MiB, and nothing waits for a pipe.
//! - Whoever reads sees a whole file or none: writers rename a synced file into its place.
//! - Every answer is as fresh as the files; nothing is kept between two questions.

mod ad_hoc;
mod definitions;
mod fingerprint;
mod host_view;
mod listing;
mod openness;
mod orders;
mod read;
mod replace;
mod stamp;
mod submit;
mod walk;

pub use definitions::Definitions;
pub use host_view::HostView;
pub use orders::{PutDown, put_down};
pub use submit::SubmitError;
pub use walk::{WalkError, Walked, authority, judge_directory, open_trusted, walk};
