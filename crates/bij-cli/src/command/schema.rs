//! `bij schema`: the JSON Schema of definitions.

use bij_core::definition;

use crate::error::CliError;
use crate::terminal::Terminal;

/// Prints it, for editors and programs; it is JSON either way.
pub(crate) fn schema() -> Result<(), CliError> {
    Terminal::print(definition::schema())
}
