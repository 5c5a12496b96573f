//! `cargo xtask package`: packs the crates that are published, and builds and tests them from their packages.
//!
//! The packages are unpacked into an empty workspace, where none of them finds another by its path in this one. Their
//! examples, which are the programs of `docs/embedding.md`, are built there as an outside project would build them.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::shell;
use crate::workspace::{self, Metadata, Package};

/// Packs, unpacks, builds and tests all crates that are published.
pub(crate) fn package() -> Result<()> {
    let metadata = Metadata::read()?;
    let published: Vec<&Package> = metadata.members().filter(|it| it.is_published()).collect();
    ensure!(!published.is_empty(), "no crate of this workspace is published");
    println!("packing {} crates", published.len());
    let mut pack = shell::cargo();
    pack.args(["package", "--quiet", "--no-verify", "--allow-dirty", "--exclude-lockfile"]);
    pack.args(published.iter().flat_map(|package| ["--package", &package.name]));
    shell::run(&mut pack)?;

    let directory = tempfile::tempdir().context("cannot make a directory for the packages")?;
    for package in &published {
        let file = format!("{}-{}.crate", package.name, package.version);
        let file = metadata.target_directory.join("package").join(file);
        unpack(&file, directory.path())?;
    }
    write_workspace(&published, directory.path())?;

    // The same target directory: the crates of others are not built again.
    let cargo = |arguments: &[&str]| {
        let mut cargo = Command::new(shell::cargo().get_program());
        cargo.current_dir(directory.path()).args(arguments).arg("--quiet");
        cargo.env("CARGO_TARGET_DIR", metadata.target_directory.join("packages"));
        shell::run(&mut cargo)
    };
    println!("building the crates and their examples");
    cargo(&["build", "--workspace", "--examples", "--all-features"])?;
    println!("running the examples of the documentation");
    cargo(&["test", "--workspace", "--doc", "--all-features"])
}

fn unpack(package: &Path, directory: &Path) -> Result<()> {
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--gzip", "--file"]).arg(package).arg("--directory").arg(directory);
    shell::run_quietly(&mut tar)
}

/// Writes the manifest of a workspace of the unpacked packages, which satisfy each other's requirements.
fn write_workspace(published: &[&Package], directory: &Path) -> Result<()> {
    let folder = |package: &Package| format!("{}-{}", package.name, package.version);
    let folders: Vec<String> = published.iter().map(|package| folder(package)).collect();
    let patch =
        |package: &&Package| format!("{} = {{ path = {:?} }}\n", package.name, folder(package));
    let manifest = format!(
        "[workspace]\nresolver = \"3\"\nmembers = {folders:?}\n\n[profile.dev]\ndebug = false\n\n\
         [patch.crates-io]\n{}",
        published.iter().map(patch).collect::<String>(),
    );
    fs::write(directory.join("Cargo.toml"), manifest)?;
    // The same versions of others' crates as here.
    fs::copy(workspace::root().join("Cargo.lock"), directory.join("Cargo.lock"))?;
    Ok(())
}
