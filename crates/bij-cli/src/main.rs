//! The program `bij`; the library does the work.

use std::process::ExitCode;

fn main() -> ExitCode {
    bij_cli::main(std::env::args_os())
}
