//! Definitions of experiments: parses, checks, finds, writes and renders them.
//!
//! The text of a file becomes an [`ExperimentSpec`](bij_core::spec::ExperimentSpec), or an error that names the
//! line:
//!
//! ```
//! use bij_core::ExperimentId;
//! use bij_definition::{Definition, SourceFile, Syntax};
//!
//! let id: ExperimentId = "amnesiac_001".parse()?;
//! let text = "command = [\"/usr/bin/amnesiac\"]\n[limits]\nmemroy = \"8G\"\n";
//! let file = SourceFile::new("amnesiac_001.toml", text.as_bytes());
//! let error = Definition::new(&id, file, Syntax::Toml).parse().unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "amnesiac_001.toml:3: limits.memroy: unknown key\n  hint: did you mean `memory`?"
//! );
//! # Ok::<(), bij_core::InvalidExperimentId>(())
//! ```
//!
//! [`Definitions`] finds the files of an installation:
//!
//! ```
//! use bij_core::Layout;
//! use bij_core::port::DefinitionSource as _;
//! use bij_definition::Definitions;
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
//! # Parsing
//! TOML and JSON are parsed into one tree of values with their positions. An error lists all problems of a file, not
//! only the first. One table, `keys`, has every key of definitions: parsing, rendering, `bij show`, extras, the schema
//! and the reference of the manual are made from it. A new key is a field of
//! [`ExperimentSpec`](bij_core::spec::ExperimentSpec) and a row of that table.
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
//! - Only the module `files` does I/O: `clippy.toml` of this crate disallows it everywhere else.
//! - Only regular files of up to 1 MiB are read, and no read waits for a pipe.
//! - Readers see a whole file or none: writers rename a synced file into place.
//! - Every result is as fresh as the files; nothing is cached between calls.

mod definition;
mod document;
mod env_file;
mod extras_policy;
mod fault;
mod field;
#[expect(clippy::disallowed_methods, reason = "the only module that does I/O")]
mod files;
mod keys;
mod kind;
mod names;
mod older;
mod overlay;
mod render;
mod schema;
mod settings;
mod source;
mod template;
#[cfg(test)]
mod tests;
mod value;

pub use definition::{Definition, Parsed};
pub use document::Syntax;
pub use extras_policy::{DeniedExtra, check_extras};
pub use files::{
    Definitions, HostView, OrderFiles, SubmitError, WalkError, Walked, authority, check_directory,
    open_trusted, walk, write_order,
};
pub use keys::settings_by_key;
pub use overlay::SpecOverlay;
pub use render::to_toml;
pub use schema::schema;
pub use settings::{Runner, Settings};
pub use source::{MAX_FILE_BYTES, SourceFile};
