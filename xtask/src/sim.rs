//! `cargo xtask sim`: seeded worlds for the coordinator to live in.
//!
//! The worlds are a test of bij-coordinator (`tests/world`), which runs a few of them by itself. Here
//! they are run by the hundreds, and the story of one is told. A seed always tells the same story.
//!
//! With `--heat` it is the other model: the boards by which the thermal ladder is judged
//! (`tests/thermal`), with their tables.

use anyhow::{Result, ensure};
use clap::Args;

use crate::shell;

/// Which worlds.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// So many seeds, from 0 on
    #[arg(long, value_name = "N", default_value_t = SEEDS, conflicts_with = "seed")]
    seeds: u64,
    /// So many steps each
    #[arg(long, value_name = "M", default_value_t = STEPS)]
    steps: u64,
    /// Tell the whole story of this seed
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Print how the thermal ladder does on boards that grow hot, beside its rival
    #[arg(long, conflicts_with_all = ["seeds", "steps", "seed"])]
    heat: bool,
}

/// What every change must pass.
const SEEDS: u64 = 500;
const STEPS: u64 = 500;

impl Default for Options {
    fn default() -> Self {
        Self { seeds: SEEDS, steps: STEPS, seed: None, heat: false }
    }
}

/// Runs them; the first seed that leads to a world that is not allowed is told with what led there.
pub(crate) fn sim(options: &Options) -> Result<()> {
    let Options { seeds, steps, seed, heat } = options;
    if *heat {
        return heat_tables();
    }
    ensure!(*seeds > 0 && *steps > 0, "nothing happens in no seed and in no step");
    let mut cargo = shell::cargo();
    cargo
        .args(["test", "--quiet", "--package", "bij-coordinator", "--test", "world", "--"])
        .args(["--exact", "no_story_leads_to_a_world_that_is_not_allowed", "--nocapture"])
        .env("BIJ_SIM_STEPS", steps.to_string())
        // How the test came to tell it is of no interest.
        .env("RUST_BACKTRACE", "0");
    match seed {
        Some(seed) => cargo.env("BIJ_SIM_SEED", seed.to_string()).env("BIJ_SIM_ALOUD", "1"),
        None => cargo.env("BIJ_SIM_SEEDS", seeds.to_string()),
    };
    shell::run(&mut cargo)
}

/// The tests that judge the ladder print their tables, fan by fan.
fn heat_tables() -> Result<()> {
    let mut cargo = shell::cargo();
    cargo
        .args(["test", "--quiet", "--package", "bij-coordinator", "--test", "thermal", "--"])
        .args(["the_ladder_holds_the_board", "--nocapture", "--test-threads=1"])
        .env("RUST_BACKTRACE", "0");
    shell::run(&mut cargo)
}
