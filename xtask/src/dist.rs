//! `cargo xtask dist DIR`: the packages of a release, from the staged tree.
//!
//! For each processor, DIR gets `bij_VERSION_ARCH.deb` and `bij-VERSION-ARCH.tar.gz` with the same files, and
//! `SHA256SUMS`. The programs need no C library newer than [`GLIBC`](portable::GLIBC), which is checked. The same commit
//! makes the same bytes: times are the commit's, owners are root, and names are sorted.

mod archive;
mod deb;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use crate::architecture::Architecture;
use crate::lab::portable;
use crate::shell;
use crate::stage::{self, Linking, Profile};
use crate::workspace::{self, Metadata};

/// What is packaged.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Made if it is not there
    directory: PathBuf,
    /// Only for this processor (may be given several times)
    #[arg(long = "arch", value_enum)]
    architectures: Vec<Architecture>,
}

/// A version of bij for one processor.
#[derive(Clone, Debug)]
struct Release {
    version: String,
    architecture: Architecture,
    /// When the commit was made, in seconds since the epoch.
    epoch: String,
}

/// Writes the packages.
pub(crate) fn dist(options: &Options) -> Result<()> {
    let Options { directory, architectures } = options;
    let architectures = match &architectures[..] {
        [] => &[Architecture::Amd64, Architecture::Arm64],
        some => some,
    };
    deb::check_tools()?;
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let metadata = Metadata::read()?;
    let (version, epoch) = (version(&metadata)?, time_of_commit()?);
    let mut packages = Vec::new();
    for &architecture in architectures {
        let release = Release { version: version.clone(), architecture, epoch: epoch.clone() };
        println!("building and staging for {}", architecture.debian());
        let tree = metadata.target_directory.join("dist").join(architecture.debian());
        stage::stage_with(Linking::Portable(architecture), Profile::Release, &tree)?;
        check_programs(&tree)?;
        deb::add_documents(&release, &tree)?;
        packages.push(archive::write(&release, &tree, directory)?);
        packages.push(deb::write(&release, &tree, directory)?);
    }
    write_checksums(directory, &packages)?;
    for name in &packages {
        println!("{}", directory.join(name).display());
    }
    Ok(())
}

fn version(metadata: &Metadata) -> Result<String> {
    let bij = metadata.members().find(|package| package.name == "bij-cli");
    bij.map(|package| package.version.clone()).context("the workspace has no package bij-cli")
}

fn time_of_commit() -> Result<String> {
    if let Ok(epoch) = std::env::var("SOURCE_DATE_EPOCH") {
        return Ok(epoch);
    }
    let mut git = Command::new("git");
    git.current_dir(workspace::root()).args(["log", "-1", "--format=%ct"]);
    let text = shell::read(&mut git).context("set SOURCE_DATE_EPOCH outside of a git checkout")?;
    Ok(text.trim().to_owned())
}

/// Checks that no program needs a newer C library than the packages promise.
fn check_programs(tree: &Path) -> Result<()> {
    for directory in ["usr/bin", "usr/libexec/brain-in-jar", "usr/libexec/brain-in-jar/examples"] {
        for entry in fs::read_dir(tree.join(directory))? {
            let path = entry?.path();
            if path.is_file() {
                let needed = newest_glibc(&path)?;
                ensure!(
                    needed <= parse_version(portable::GLIBC),
                    "{} needs the C library {needed:?}; the packages promise {}",
                    path.display(),
                    portable::GLIBC
                );
            }
        }
    }
    Ok(())
}

/// Returns the newest version of the C library among a program's symbols.
fn newest_glibc(program: &Path) -> Result<Vec<u32>> {
    let mut readelf = Command::new("readelf");
    let text = shell::read(readelf.args(["--version-info", "--wide"]).arg(program))?;
    let versions = text.split("GLIBC_").skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        parse_version(&rest[..end])
    });
    versions.max().with_context(|| format!("{} needs no C library at all", program.display()))
}

fn parse_version(text: &str) -> Vec<u32> {
    text.split('.').map_while(|part| part.parse().ok()).collect()
}

fn write_checksums(directory: &Path, names: &[String]) -> Result<()> {
    let mut sha256sum = Command::new("sha256sum");
    let sums = shell::read(sha256sum.current_dir(directory).args(names))?;
    fs::write(directory.join("SHA256SUMS"), sums).context("cannot write SHA256SUMS")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_the_c_library_are_compared_by_number() {
        assert!(parse_version("2.4") < parse_version("2.31"));
        assert!(parse_version("2.2.5") < parse_version("2.31"));
        assert!(parse_version("2.36") > parse_version("2.31"));
    }

    #[test]
    fn the_needs_of_a_program_are_read() {
        let own = std::env::current_exe().unwrap();
        assert!(newest_glibc(&own).unwrap() >= parse_version("2.2"));
    }
}
