#![doc = include_str!("../README.md")]

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
