//! Steps that many scenarios share.

use std::fs;
use std::path::Path;

use crate::check::Failure;
use crate::command::{run, sh};

/// Where definitions written by hand lie.
const DEFINITIONS: &str = "/etc/brain-in-jar/experiments";

/// Writes a definition where people write theirs.
///
/// # Errors
///
/// When the file cannot be written.
pub fn define(id: &str, toml: &str) -> Result<(), Failure> {
    write(&Path::new(DEFINITIONS).join(format!("{id}.toml")), toml)
}

/// Writes the `.env` file beside a definition.
///
/// # Errors
///
/// When the file cannot be written.
pub fn define_env(id: &str, text: &str) -> Result<(), Failure> {
    write(&Path::new(DEFINITIONS).join(format!("{id}.env")), text)
}

/// One property of a unit, as `systemctl show` prints it.
///
/// # Errors
///
/// When systemctl fails.
pub fn property(unit: &str, property: &str) -> Result<String, Failure> {
    let arg = format!("--property={property}");
    let output = run("systemctl", ["show", "--value", &arg, unit])?.success()?;
    Ok(output.stdout().trim_end_matches('\n').to_owned())
}

/// Puts the machine back as a scenario wants to find it: nothing of ours running, failed, enabled
/// or defined. Ledger rows stay.
pub(crate) fn clear_away() -> Result<(), Failure> {
    sh(&format!(
        "systemctl stop 'brain-experiment@*.service'
         rm -rf {DEFINITIONS}/* /var/lib/brain-in-jar/definitions/*
         for base in /etc /run; do
             rm -rf $base/systemd/system/*.wants/brain-experiment@* \
                    $base/systemd/system.control/brain-experiment@* \
                    $base/systemd/system/brain-experiment@*
         done
         systemctl daemon-reload
         systemctl reset-failed"
    ))?
    .success()
    .map(drop)
    .map_err(|failure| failure.during("clearing away after the scenario"))
}

/// Writes a file, with the directories above it.
///
/// # Errors
///
/// When it cannot be written.
pub fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let told = |error| Failure::new(format!("{}: {error}", path.display()));
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(told)?;
    }
    fs::write(path, text).map_err(told)
}
