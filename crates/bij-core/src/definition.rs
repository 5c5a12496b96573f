//! Definitions: the text of a file becomes an [`ExperimentSpec`], or an error that names the line.
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
//! TOML and JSON become one tree of values that know where they stand; one table of keys says
//! what each may be. Whatever is wrong is told at once, not one problem at a time.

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

pub use error::{DefinitionError, Place, Problem, Warning};
pub use nearest::nearest;
pub use overlay::SpecOverlay;
pub use parse::{Definition, Parsed};
pub use policy::{DeniedExtra, InvalidPattern, Policy, VariablePattern, judge_extras};
pub use schema::schema;
pub use settings::{CoordinatorSettings, Runner, Settings};
pub use source::{MAX_FILE_BYTES, SourceFile, too_large};
pub use spec::{
    AbsolutePath, After, Clocks, CpuSet, ExperimentSpec, Gpu, Health, InvalidCpuSet, InvalidPath,
    Limits, OnReboot, OomPolicy, Power, PowerMode, Queue, Restart, SandboxProfile, Stop, Thermal,
};
pub use tree::Syntax;

/// The version of what a definition is rendered into; part of its stamp.
///
/// Raise it whenever the same definition gives another drop-in than before: then every start
/// after an upgrade sees that the loaded unit is of the older kind and reloads.
pub const RENDERING: u32 = 9;

#[cfg(test)]
mod tests;
