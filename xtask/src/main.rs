//! Every chore of the project: `cargo xtask --help`.
//!
//! - `stage` lays out the installed tree ([`stage`]).
//! - `test` runs the three lanes of the laboratory ([`mod@test`], [`lab`]).
//! - `demo` runs the example experiments side by side ([`demo`]).
//! - `bench` measures the queue beside those of others ([`mod@bench`]).
//! - `sim` runs the coordinator in seeded worlds, or tells the story of one ([`mod@sim`]).
//! - `fuzz` gives every reader of foreign text hostile input ([`mod@fuzz`]).
//! - `package` builds the published crates as an outside project gets them ([`mod@package`]), `api` lists their
//!   public API ([`public_api`]).
//! - `ci` is what every change must pass ([`ci`]), `arrows` its check of who may depend on whom
//!   ([`arrows`]).

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "chores talk to a person")]

mod arrows;
mod bench;
mod ci;
mod demo;
mod fuzz;
mod lab;
mod package;
mod prose;
mod public_api;
mod shell;
mod sim;
mod stage;
mod test;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's chores.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Lays out the installed tree in DIR, exactly as a package has it
    Stage {
        /// Made if it is not there; what a former run laid out in it is replaced
        directory: PathBuf,
    },
    /// Runs the tests: unit and contract, in a booted machine, in an emulated machine
    Test(test::Options),
    /// Builds all and runs the three example experiments side by side until their end
    Demo,
    /// Measures the queue beside those of others
    Bench(bench::Options),
    /// Runs the coordinator in seeded worlds
    Sim(sim::Options),
    /// Gives every reader of foreign text hostile input for a while
    Fuzz(fuzz::Options),
    /// Everything a change must pass: format, lints, docs, arrows, tests, seeded worlds
    Ci(test::Options),
    /// Checks which crate depends on which, and under which licence
    Arrows,
    /// Packs the published crates, and builds and tests them and their examples from the packages
    Package,
    /// Compares the public API of the published crates with the lists beside them
    Api(public_api::Options),
    /// Counts what can be counted of the language, and names each place
    Prose(prose::Options),
}

fn main() -> ExitCode {
    match carry_out(Arguments::parse().chore) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn carry_out(chore: Chore) -> anyhow::Result<()> {
    match chore {
        Chore::Stage { directory } => stage::stage(&directory),
        Chore::Test(options) => test::test(&options),
        Chore::Demo => demo::demo(),
        Chore::Bench(options) => bench::bench(&options),
        Chore::Sim(options) => sim::sim(&options),
        Chore::Fuzz(options) => fuzz::fuzz(&options),
        Chore::Ci(options) => ci::ci(&options),
        Chore::Package => package::package(),
        Chore::Api(options) => public_api::api(options),
        Chore::Arrows => arrows::check(),
        Chore::Prose(options) => prose::prose(options),
    }
}
