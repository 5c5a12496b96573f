//! The shim as a program of its own, for embedding programs that cannot have a hidden subcommand.

use std::process::ExitCode;

fn main() -> ExitCode {
    bij_local::shim::main()
}
