//! What an experiment says to people: its log.

use std::error::Error;
use std::fmt::Arguments;
use std::io::{self, Write as _};
use std::process::ExitCode;

use bij_experiment::Ending;

/// Writes one line to standard output, which is the log.
///
/// A log that cannot be written (its reader is gone, the disk is full) must not end an experiment.
pub fn say(line: Arguments<'_>) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// Ends `main`: the ending's exit code, or the error with all its sources and exit code 1.
pub fn conclude(result: Result<Ending, Box<dyn Error>>) -> ExitCode {
    match result {
        Ok(ending) => ending.into(),
        Err(error) => {
            let _ = writeln!(io::stderr().lock(), "error: {}", with_sources(&*error));
            ExitCode::FAILURE
        }
    }
}

/// The error and what caused it, in one line.
pub fn with_sources(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        line = format!("{line}: {error}");
        source = error.source();
    }
    line
}
