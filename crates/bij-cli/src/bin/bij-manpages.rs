//! Writes the manual pages of `bij` and of each of its verbs, for packages: `bij-manpages DIR`. It is not installed.

use std::error::Error;
use std::path::Path;

use clap::Command;
use clap_mangen::Man;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args_os().nth(1).ok_or("name a directory")?;
    let mut command = bij_cli::command().disable_help_subcommand(true);
    command.build();
    write_pages(&command, Path::new(&directory))
}

/// Writes the page of a command and those of its verbs: `bij(1)`, `bij-groups(1)`, `bij-groups-set(1)`.
fn write_pages(command: &Command, directory: &Path) -> Result<(), Box<dyn Error>> {
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    for verb in verbs {
        write_pages(verb, directory)?;
    }
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let page = Man::new(command.clone()).manual("Brain-in-Jar").source("bij").title(&name);
    let mut text = Vec::new();
    page.render(&mut text)?;
    std::fs::write(directory.join(format!("{name}.1")), text)?;
    Ok(())
}
