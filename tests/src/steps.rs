//! Steps that many scenarios share.

use std::fs;
use std::path::Path;

use crate::check::Failure;
use crate::command::run;
use crate::queue::clear_queue;

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

/// Where scenarios leave definitions, enablements and overrides behind.
const TRACES: &[&str] = &[
    DEFINITIONS,
    "/var/lib/brain-in-jar/definitions",
    "/run/brain-in-jar/extras",
    "/etc/systemd/system",
    "/run/systemd/system",
    "/run/systemd/system.attached",
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/etc/systemd/system/brain-experiment.target.wants",
    "/run/systemd/system/brain-experiment.target.wants",
];

/// Puts the machine back as a scenario wants to find it: nothing of ours queued, running, failed,
/// enabled or defined. Ledger rows stay.
pub(crate) fn clear_away() -> Result<(), Failure> {
    clear_queue()?;
    let mut traces = Vec::new();
    for directory in TRACES {
        let ours =
            |name: &str| !directory.contains("systemd") || name.starts_with("brain-experiment@");
        // A directory that is not there holds no traces.
        for entry in fs::read_dir(directory).into_iter().flatten() {
            let entry = entry?;
            if entry.file_name().to_str().is_none_or(ours) {
                traces.push(entry.path());
            }
        }
    }
    if traces.is_empty() {
        return Ok(());
    }
    let all = "brain-experiment@*.service";
    run("systemctl", ["stop", all])?;
    for trace in traces {
        let is_directory = fs::symlink_metadata(&trace)?.is_dir();
        if is_directory { fs::remove_dir_all(&trace)? } else { fs::remove_file(&trace)? }
    }
    run("systemctl", ["daemon-reload"])?.success()?;
    run("systemctl", ["reset-failed"])?.success()?;
    Ok(())
}

/// Writes a file, with the directories above it.
///
/// # Errors
///
/// When it cannot be written.
pub fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let failure = |error| Failure::new(format!("{}: {error}", path.display()));
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failure)?;
    }
    fs::write(path, text).map_err(failure)
}
