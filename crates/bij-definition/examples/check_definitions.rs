//! Checks every definition below a root directory and prints the problems of each.
//!
//! `cargo run -p bij-definition --example check_definitions -- /`

use std::error::Error;
use std::io::Write as _;
use std::path::PathBuf;

use bij_core::Layout;
use bij_core::port::DefinitionSource as _;
use bij_definition::Definitions;

fn main() -> Result<(), Box<dyn Error>> {
    let root = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("/"), PathBuf::from);
    let definitions = Definitions::new(Layout::system(&root));
    let mut out = std::io::stdout().lock();
    for id in definitions.ids()? {
        match definitions.find(&id) {
            Ok(found) => {
                writeln!(out, "{id}: {} ({})", found.spec.command.join(" "), found.source)?;
                for warning in found.warnings {
                    writeln!(out, "  {warning}")?;
                }
            }
            Err(error) => {
                writeln!(out, "{id}: {error}")?;
                if let Some(source) = error.source() {
                    writeln!(out, "{source}")?;
                }
            }
        }
    }
    for unused in definitions.unused_files()? {
        writeln!(out, "{unused}")?;
    }
    Ok(())
}
