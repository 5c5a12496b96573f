//! The archive of a release: the installed tree below one directory.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::Release;
use crate::shell;

/// Writes the archive and returns its name.
pub(super) fn write(release: &Release, tree: &Path, directory: &Path) -> Result<String> {
    let Release { version, architecture, epoch } = release;
    let base = format!("bij-{version}-{}", architecture.debian());
    let name = format!("{base}.tar.gz");
    let mut tar = Command::new("tar");
    tar.args(["--create", "--use-compress-program=gzip -9 --no-name", "--format=gnu"])
        .args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner"])
        .arg(format!("--mtime=@{epoch}"))
        .arg(format!("--transform=s,^\\.,{base},"))
        .arg("--file")
        .arg(directory.join(&name))
        .arg("--directory")
        .arg(tree)
        .arg(".");
    shell::run_quietly(&mut tar)?;
    Ok(name)
}
