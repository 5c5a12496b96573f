//! The machine itself is what the host asked for, and the staged tree does not disturb its boot.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::Scenario;
use crate::check::{Failure, ensure, ensure_eq};
use crate::command::{run, run_for, sh};
use crate::guest::{Guest, Next};
use crate::protocol::Lane;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new("boot_reaches_running", Lane::ALL, reaches_running),
    Scenario::new("boot_has_the_systemd_asked_for", Lane::ALL, has_the_systemd_asked_for),
    Scenario::new("boot_has_the_hierarchy_asked_for", Lane::VM, has_the_hierarchy_asked_for),
    Scenario::new("boot_staged_units_verify", Lane::ALL, staged_units_verify),
];

fn reaches_running(guest: &Guest) -> Result<Next, Failure> {
    let patience = guest.patience(Duration::from_secs(30));
    let output = run_for(patience, "systemctl", ["is-system-running", "--wait"])?;
    if !output.succeeded() {
        let failed = sh("systemctl --failed --no-pager; systemctl list-jobs --no-pager")?;
        return Err(output.unexpected(&format!("`running`; now:\n{}", failed.stdout())));
    }
    Ok(Next::Done)
}

fn has_the_systemd_asked_for(guest: &Guest) -> Result<Next, Failure> {
    let output = run("systemctl", ["--version"])?.success()?;
    let version = output.stdout().split_whitespace().nth(1).unwrap_or_default();
    ensure_eq!(version, guest.systemd().to_string(), "the version of systemd");
    Ok(Next::Done)
}

fn has_the_hierarchy_asked_for(guest: &Guest) -> Result<Next, Failure> {
    let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    ensure_eq!(unified, guest.lane() == Lane::VmV2, "whether cgroups are unified");
    if !unified {
        let memory = Path::new("/sys/fs/cgroup/memory/memory.limit_in_bytes");
        ensure!(memory.exists(), "{} is not there", memory.display());
    }
    Ok(Next::Done)
}

fn staged_units_verify(_: &Guest) -> Result<Next, Failure> {
    let mut units = Vec::new();
    for entry in fs::read_dir("/usr/lib/systemd/system")? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_file() && name.starts_with("brain") {
            // A template is verified by an instance of it.
            units.push(name.replace("@.", "@lab."));
        }
    }
    ensure!(!units.is_empty(), "no unit of ours lies in /usr/lib/systemd/system");
    let args = ["verify", "--man=no"].into_iter().chain(units.iter().map(String::as_str));
    let output = run("systemd-analyze", args)?.success()?;
    let ours: Vec<&str> = output.stderr().lines().filter(|line| line.contains("brain")).collect();
    ensure!(ours.is_empty(), "systemd-analyze verify found:\n{}", ours.join("\n"));
    Ok(Next::Done)
}
