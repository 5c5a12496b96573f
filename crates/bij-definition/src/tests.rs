//! Tests of parsing through [`Definition::parse`](super::Definition::parse).

mod bad_input;
mod coordinator;
mod fuzz;
mod legal;
mod manual;
mod older;
mod round_trip;

use bij_core::port::{DefinitionError, Problem, Warning};
use bij_core::spec::*;
use bij_core::variable::{self, VariablePattern};
use bij_core::{CoordinatorSettings, ExperimentId};

use crate::*;

fn id(text: &str) -> ExperimentId {
    ExperimentId::new(text).unwrap()
}

fn parse_toml(text: &str) -> Result<Parsed, DefinitionError> {
    Definition::new(&id("x"), SourceFile::new("x.toml", text.as_bytes()), Syntax::Toml).parse()
}

fn parse_json(text: &str) -> Result<Parsed, DefinitionError> {
    Definition::new(&id("x"), SourceFile::new("x.json", text.as_bytes()), Syntax::Json).parse()
}

/// Parses a valid definition.
fn spec(text: &str) -> ExperimentSpec {
    parse_toml(text).unwrap_or_else(|error| panic!("{error}")).spec
}

/// Returns the error of an invalid definition, with a command in line 1.
fn complaint(rest: &str) -> String {
    parse_toml(&format!("command = [\"/bin/true\"]\n{rest}")).unwrap_err().to_string()
}
