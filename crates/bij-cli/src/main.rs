//! `bij`: see the library for what it does.

use std::process::ExitCode;

fn main() -> ExitCode {
    bij_cli::main(std::env::args_os())
}
