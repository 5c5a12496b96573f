//! The laboratory's agent: runs the plan's scenarios inside a booted machine.

use std::error::Error as _;
use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Err(error) = bij_e2e::serve() else { return ExitCode::SUCCESS };
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    // Standard error is the machine's console and journal; there is nowhere else to tell.
    drop(writeln!(std::io::stderr(), "bij-lab-agent: {text}"));
    ExitCode::FAILURE
}
