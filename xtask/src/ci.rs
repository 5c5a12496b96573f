//! `cargo xtask ci`: what every change must pass, in the order in which mistakes are cheapest to find.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::{arrows, fuzz, package, prose, public_api, shell, sim, test};

/// All targets together get so much hostile input here. Longer runs are made by hand.
const FUZZ_TIME: Duration = Duration::from_secs(60);

/// Stops at the first thing that is wrong.
pub(crate) fn ci(options: &test::Options) -> Result<()> {
    step("format", || shell::run(shell::cargo().args(["fmt", "--all", "--check"])))?;
    step("arrows and licences", arrows::check)?;
    step("language", || prose::prose(prose::Options::default()))?;
    step("lints", || {
        shell::run(shell::cargo().args([
            "clippy",
            "--quiet",
            "--workspace",
            "--all-targets",
            "--",
            "-Dwarnings",
        ]))
    })?;
    step("public API", || public_api::api(public_api::Options::default()))?;
    step("features", features)?;
    step("documentation", || shell::run(&mut documentation()))?;
    step("packages", package::package)?;
    step("hostile input", || fuzz::fuzz(&fuzz::Options::all_within(FUZZ_TIME)))?;
    step("seeded worlds", || sim::sim(&sim::Options::default()))?;
    // Machines are shared and noisy: what holds in a second machine is told, and lets a change pass.
    let mut options = options.clone();
    options.retry = true;
    step("tests", || test::test(&options))
}

/// Crates with features of their own, each of which is checked without and with all of them.
const WITH_FEATURES: [&str; 3] = ["bij-core", "bij-jetson", "bij-systemd"];

/// A crate alone: in the workspace, the needs of its neighbours switch its features on.
fn features() -> Result<()> {
    for (package, features) in WITH_FEATURES
        .iter()
        .flat_map(|p| ["--no-default-features", "--all-features"].map(|f| (p, f)))
    {
        shell::run(shell::cargo().args(["clippy", "--quiet", "--all-targets", features]).args([
            "--package",
            package,
            "--",
            "-Dwarnings",
        ]))?;
    }
    Ok(())
}

/// Private items too: their links rot like any others.
fn documentation() -> Command {
    let mut command = shell::cargo();
    command
        .args(["doc", "--quiet", "--workspace", "--no-deps", "--document-private-items"])
        .env("RUSTDOCFLAGS", "-Dwarnings");
    command
}

fn step(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("==> {name}");
    let started = Instant::now();
    work().with_context(|| format!("{name}: not passed"))?;
    println!("==> {name}: passed ({} s)", started.elapsed().as_secs());
    Ok(())
}
