//! From the command line to the exit code.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use crate::args::{Cli, Command};
use crate::command;
use crate::complete;
use crate::context::Context;
use crate::error::{CliError, Kind};
use crate::terminal::Terminal;

/// Does what the command line says and returns the exit code that docs/cli.md promises.
pub fn main(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let words: Vec<OsString> = words.into_iter().collect();
    match complete::answer(&words) {
        Ok(true) => return ExitCode::SUCCESS,
        Ok(false) => {}
        Err(error) => {
            let _ = error.print();
            return Kind::Internal.into();
        }
    }
    let Cli { global, command } = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version end well and go to stdout; a closed pipe does not matter here.
            let _ = error.print();
            return if error.use_stderr() { Kind::Usage.into() } else { ExitCode::SUCCESS };
        }
    };
    if matches!(command, Some(Command::Shim)) {
        // Before any thread is started.
        return bij_local::shim::main();
    }
    let terminal = Terminal::new(&global);
    let Some(command) = command else {
        let help = Cli::command().render_help();
        return finish(&terminal, Terminal::print(&help.to_string()).map(|()| ExitCode::SUCCESS));
    };
    let done = Context::new(terminal, &global).and_then(|context| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| CliError::of(Kind::Internal, &error))?;
        runtime.block_on(command::dispatch(command, &context))
    });
    finish(&terminal, done)
}

fn finish(terminal: &Terminal, done: Result<ExitCode, CliError>) -> ExitCode {
    done.unwrap_or_else(|error| {
        terminal.error(&error);
        if error.broken_pipe { ExitCode::SUCCESS } else { error.kind.into() }
    })
}
