//! From the command line to the exit code.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};

use crate::args::Global;
use crate::command::{self, Cli, Command};
use crate::complete;
use crate::context::Context;
use crate::error::{CliError, Kind};
use crate::terminal::Terminal;
use crate::view::for_terminal;

/// Returns the description of the command line, from which manual pages are made.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Executes the command line and returns the exit code; docs/cli.md lists the codes.
pub fn main(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let words: Vec<OsString> = words.into_iter().collect();
    match complete::answer_shell(&words) {
        Ok(true) => return ExitCode::SUCCESS,
        Ok(false) => {}
        Err(error) => {
            print(&error);
            return Kind::Internal.into();
        }
    }
    let Cli { global, command } = match Cli::try_parse_from(&words) {
        Ok(cli) => cli,
        Err(error) if error.kind() == ErrorKind::InvalidUtf8 => {
            let json = words.iter().any(|word| word == "--json");
            let terminal = Terminal::new(&Global { json, ..Global::default() });
            return finish(&terminal, Err(not_utf8(&words)));
        }
        Err(error) => {
            // Help and version are results: they go to stdout, with exit code 0.
            print(&error);
            return if error.use_stderr() { Kind::Usage.into() } else { ExitCode::SUCCESS };
        }
    };
    if matches!(command, Some(Command::Shim)) {
        // The shim forks and executes, so no thread may run yet.
        return bij_local::shim::main();
    }
    let terminal = Terminal::new(&global);
    let Some(command) = command else {
        let help = Cli::command().render_help();
        return finish(&terminal, Terminal::print(&help.to_string()).map(|()| ExitCode::SUCCESS));
    };
    let done = Context::new(terminal, &global).and_then(|context| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| CliError::from_error(Kind::Internal, &error))?;
        runtime.block_on(command::dispatch(command, &context))
    });
    finish(&terminal, done)
}

/// Returns the error for an argument that is not UTF-8. Names, settings and commands are written into
/// definitions, which are UTF-8; only a path may have other bytes.
fn not_utf8(words: &[OsString]) -> CliError {
    let is_path = |at: usize| at.checked_sub(1).is_some_and(|before| words[before] == "--root");
    let mut others = words.iter().enumerate().filter(|(at, _)| !is_path(*at));
    let Some((at, word)) = others.find(|(_, word)| word.to_str().is_none()) else {
        return CliError::new(Kind::Usage, "an argument is not UTF-8 text");
    };
    // Other bytes are written as `\xe9`, which a shell can read.
    let word = word.as_encoded_bytes().escape_ascii();
    let text = format!("argument {at}, \"{word}\", is not UTF-8 text");
    CliError::new(Kind::Usage, text)
        .hint("definitions are UTF-8: rename the file, or let a script name it")
}

/// Prints a message of clap. It may repeat words of the command line, which can be names of files with any
/// characters.
fn print(error: &clap::Error) {
    fn write_to(error: &clap::Error, out: &mut (impl Write + IsTerminal)) {
        let colour = out.is_terminal() && Terminal::wants_colour();
        let text = error.render();
        let text = if colour { text.ansi().to_string() } else { text.to_string() };
        // A closed pipe does not matter here.
        let _ = out.write_all(for_terminal(&text, colour).as_bytes());
    }
    if error.use_stderr() {
        write_to(error, &mut io::stderr().lock());
    } else {
        write_to(error, &mut io::stdout().lock());
    }
}

fn finish(terminal: &Terminal, done: Result<ExitCode, CliError>) -> ExitCode {
    done.unwrap_or_else(|error| {
        terminal.error(&error);
        if error.broken_pipe { ExitCode::SUCCESS } else { error.kind.into() }
    })
}
