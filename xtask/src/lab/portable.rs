//! Builds for machines whose C library is older than ours, by zig as the linker (`cargo-zigbuild`).

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::suite::cache_directory;
use crate::shell;

/// What such programs are built for.
pub(crate) const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The oldest C library among our suites (bullseye's).
const GLIBC: &str = "2.31";

/// The version of the C library that this host links against, as (major, minor).
pub(super) fn host_glibc() -> Option<(u32, u32)> {
    let text = shell::read(Command::new("getconf").arg("GNU_LIBC_VERSION")).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The tools, from the Python Package Index, in versions that were tried together.
const TOOLS: [&str; 2] = ["ziglang==0.17.1", "cargo-zigbuild==0.24.0"];

/// Makes of `cargo` a command that builds against the oldest C library.
///
/// # Errors
///
/// When the linker is neither cached nor can be fetched.
pub(crate) fn prepare(cargo: &mut Command) -> Result<()> {
    with_tools(cargo)?.args(["zigbuild", "--target", &target()]);
    Ok(())
}

/// A command that builds tests so. `cargo` would take the word for its own, hence the tool by name.
///
/// # Errors
///
/// As [`prepare`].
pub(crate) fn test() -> Result<Command> {
    let mut command = Command::new(provide()?.join("bin/cargo-zigbuild"));
    with_tools(&mut command)?.args(["test", "--target", &target()]);
    command.current_dir(crate::workspace::root());
    Ok(command)
}

fn target() -> String {
    format!("{TARGET}.{GLIBC}")
}

fn with_tools(command: &mut Command) -> Result<&mut Command> {
    let programs = provide()?.join("bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(programs).chain(std::env::split_paths(&path)))?;
    Ok(command.env("PATH", path))
}

/// Finds the tools in the cache, or installs them there, in a Python environment of their own.
fn provide() -> Result<PathBuf> {
    let place = cache_directory()?.join("zig-0.17.1");
    if place.join("bin/cargo-zigbuild").exists() {
        return Ok(place);
    }
    println!("fetching the portable linker (zig), once");
    shell::run_quietly(Command::new("python3").args(["-m", "venv"]).arg(&place))
        .context("making a Python environment needs the package python3-venv")?;
    shell::run_quietly(
        Command::new(place.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check"])
            .args(TOOLS),
    )?;
    Ok(place)
}
