//! The Debian package of a release, by `dpkg-deb` from the staged tree.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::Release;
use crate::lab::portable::GLIBC;
use crate::{shell, stage, workspace};

/// What dpkg runs, and what it asks.
const SCRIPTS: [&str; 5] = ["preinst", "postinst", "prerm", "postrm", "config"];

/// Checks that the programs that make packages are there.
pub(super) fn check_tools() -> Result<()> {
    for (program, package) in
        [("dpkg-deb", "dpkg"), ("readelf", "binutils"), ("gzip", "gzip"), ("md5sum", "coreutils")]
    {
        ensure!(
            shell::find_program(program).is_some(),
            "{program} is missing: apt-get install {package}"
        );
    }
    Ok(())
}

/// Adds what Debian wants below `/usr/share/doc`, to the archive too.
pub(super) fn add_documents(release: &Release, tree: &Path) -> Result<()> {
    let documents = tree.join("usr/share/doc/bij");
    stage::install(&packaging().join("copyright"), &documents.join("copyright"), 0o644)?;
    let date = shell::read(
        Command::new("date")
            .args(["--utc", "--rfc-email", "--date"])
            .arg(format!("@{}", release.epoch)),
    )?;
    let text = format!(
        "bij ({}) unstable; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- {}  {date}",
        release.version,
        maintainer()?
    );
    let changelog = documents.join("changelog");
    fs::write(&changelog, text)?;
    fs::set_permissions(&changelog, fs::Permissions::from_mode(0o644))?;
    stage::compress(&changelog)?;
    let overrides = tree.join("usr/share/lintian/overrides/bij");
    stage::install(&packaging().join("lintian-overrides"), &overrides, 0o644)
}

/// Writes the package and returns its name.
pub(super) fn write(release: &Release, tree: &Path, directory: &Path) -> Result<String> {
    let files = files(tree)?;
    let control = tree.join("DEBIAN");
    fs::create_dir_all(&control)?;
    let written = write_control(release, tree, &files, &control).and_then(|()| {
        let name = format!("bij_{}_{}.deb", release.version, release.architecture.debian());
        let mut dpkg = Command::new("dpkg-deb");
        // Debian 11 reads no zstd.
        dpkg.args(["--root-owner-group", "-Zxz", "--build"])
            .arg(tree)
            .arg(directory.join(&name))
            .env("SOURCE_DATE_EPOCH", &release.epoch);
        shell::run_quietly(&mut dpkg)?;
        Ok(name)
    });
    fs::remove_dir_all(&control)?;
    written
}

fn write_control(release: &Release, tree: &Path, files: &[PathBuf], control: &Path) -> Result<()> {
    let mut size = 0;
    for file in files {
        size += fs::symlink_metadata(tree.join(file))?.len().div_ceil(1024);
    }
    let text = template()?
        .replace("@VERSION@", &release.version)
        .replace("@ARCHITECTURE@", release.architecture.debian())
        .replace("@GLIBC@", GLIBC)
        .replace("@INSTALLED_SIZE@", &size.to_string());
    put(control, "control", &text, 0o644)?;
    put(control, "templates", &fs::read_to_string(packaging().join("templates"))?, 0o644)?;
    for script in SCRIPTS {
        let path = packaging().join(script);
        if path.exists() {
            put(control, script, &fs::read_to_string(path)?, 0o755)?;
        }
    }
    let mut conffiles = String::new();
    for file in files.iter().filter(|file| file.starts_with("etc")) {
        // Writing to a String cannot fail.
        let _ = writeln!(conffiles, "/{}", file.display());
    }
    put(control, "conffiles", &conffiles, 0o644)?;
    let regular = files.iter().filter(|file| !tree.join(file).is_symlink());
    let sums = shell::read(Command::new("md5sum").current_dir(tree).args(regular))?;
    put(control, "md5sums", &sums, 0o644)
}

/// Returns the files of a tree, sorted, relative to it.
fn files(tree: &Path) -> Result<Vec<PathBuf>> {
    fn add(directory: &Path, tree: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                add(&entry.path(), tree, files)?;
            } else {
                files.push(entry.path().strip_prefix(tree)?.to_owned());
            }
        }
        Ok(())
    }
    let mut files = Vec::new();
    add(tree, tree, &mut files)?;
    files.sort();
    Ok(files)
}

fn template() -> Result<String> {
    let path = packaging().join("control");
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

fn maintainer() -> Result<String> {
    let control = template()?;
    let line = control.lines().find_map(|line| line.strip_prefix("Maintainer: "));
    line.map(ToOwned::to_owned).context("the template of control names no maintainer")
}

/// Where the parts of the package lie that are not in its tree.
fn packaging() -> PathBuf {
    workspace::root().join("packaging/debian")
}

fn put(directory: &Path, name: &str, text: &str, mode: u32) -> Result<()> {
    let path = directory.join(name);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    Ok(())
}
