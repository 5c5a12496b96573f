//! `cargo xtask demo`: the three example experiments, side by side, until their end.
//!
//! They are supervised by bij itself, in a directory that is thrown away afterwards, so that the demo
//! needs neither root nor systemd and leaves nothing behind.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::stage::{self, Linking, Profile};
use crate::workspace::{self, Metadata};

/// What runs.
const EXPERIMENTS: [&str; 3] = ["amnesiac_001", "unstable_002", "panopticon_003"];

/// Where definitions say that the examples' programs lie once they are installed.
const INSTALLED: &str = "/usr/libexec/brain-in-jar/examples/";

/// Builds all and runs it.
pub(crate) fn demo() -> Result<()> {
    println!("building bij and its examples");
    let metadata = Metadata::read()?;
    let programs = stage::build_programs(
        Linking::Native,
        Profile::Machines,
        &metadata,
        &["bij-cli", "bij-examples"],
    )?;
    let place = tempfile::Builder::new().prefix("bij-demo-").tempdir()?;
    define(&programs, &place.path().join("etc/brain-in-jar/experiments"))?;
    // It ends with a table of attempts and what each ended of.
    let status = Command::new(programs.join("bij"))
        .arg("--local")
        .arg("--root")
        .arg(place.path())
        .arg("run")
        .args(EXPERIMENTS)
        .status()
        .context("cannot run bij")?;
    if !status.success() {
        bail!("an experiment did not end well: bij {status}");
    }
    Ok(())
}

/// Takes the examples' definitions over, with the programs of this build in them.
fn define(programs: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for id in EXPERIMENTS {
        let name = format!("{id}.toml");
        let from = workspace::root().join("examples/definitions").join(&name);
        let text =
            fs::read_to_string(&from).with_context(|| format!("cannot read {}", from.display()))?;
        let built = format!("{}/", programs.display());
        fs::write(to.join(&name), text.replace(INSTALLED, &built))?;
    }
    Ok(())
}
