//! Definitions: parses the text of a file into an [`ExperimentSpec`], or an error that names the line.
//!
//! ```
//! use bij_core::ExperimentId;
//! use bij_core::definition::{Definition, SourceFile, Syntax};
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
//! TOML and JSON are parsed into one tree of values with their positions; one table of keys describes the
//! legal values. An error lists all problems of a file, not only the first.

mod env_file;
mod error;
mod fault;
mod field;
mod fields;
mod names;
mod nearest;
mod older;
mod overlay;
mod parse;
mod policy;
mod render;
mod schema;
mod settings;
mod source;
mod spec;
mod steering;
mod template;
mod tree;
mod value;

pub use error::{DefinitionError, Problem, SourceLocation, Warning};
pub use nearest::nearest;
pub use overlay::SpecOverlay;
pub use parse::{Definition, Parsed};
pub use policy::{DeniedExtra, InvalidPattern, Policy, VariablePattern, check_extras};
pub use schema::schema;
pub use settings::{CoordinatorSettings, Runner, Settings};
pub use source::{MAX_FILE_BYTES, SourceFile, too_large};
pub use spec::{
    AbsolutePath, After, Clocks, CpuSet, ExperimentSpec, Gpu, Health, InvalidCpuSet, InvalidPath,
    Limits, OnReboot, OomPolicy, Power, PowerMode, Queue, Restart, SandboxProfile, Stop, Thermal,
};
pub use tree::Syntax;

/// The version of the rendered drop-in; part of a definition's stamp.
///
/// Raise it whenever the same definition is rendered differently: every start after an upgrade then finds that
/// the loaded unit has an older rendering, and reloads.
pub const RENDERING: u32 = 9;

#[cfg(test)]
mod tests;
