//! `bij schema`: the JSON Schema of definitions.

use crate::error::CliError;
use crate::terminal::Terminal;

/// Prints the schema; it is the same with and without `--json`.
pub(crate) fn schema() -> Result<(), CliError> {
    Terminal::print(&bij_definition::schema())
}
