//! The plain commands of systemd work on our units and stay true.

use std::path::Path;

use super::Scenario;
use crate::bij::{
    define_script, ensure_causes, history, render_all, status, unit, wait_for_ended, wait_for_line,
    wait_for_state,
};
use crate::check::{Failure, ensure, ensure_eq};
use crate::command::sh;
use crate::guest::{Guest, Next};
use crate::protocol::Lane;
use crate::steps::property;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "systemctl_starts_restarts_and_stops",
        Lane::CONTAINER,
        starts_restarts_and_stops,
    ),
    Scenario::new("systemctl_enables_for_the_target", Lane::CONTAINER, enables_for_the_target),
    Scenario::new("systemctl_shows_restarts_and_limit", Lane::CONTAINER, shows_restarts_and_limit),
    Scenario::new("systemctl_set_property_is_stronger", Lane::ALL, set_property_is_stronger),
    Scenario::new(
        "systemctl_reset_failed_keeps_counts",
        Lane::CONTAINER,
        reset_failed_keeps_counts,
    ),
];

/// The id that the commands of the documentation use.
const ID: &str = "amnesiac_001";

/// What stands in for it: says something and stays.
const STAYS: &str = "echo \"hello from the jar, attempt $BIJ_ATTEMPT\"; exec sleep 600";

fn starts_restarts_and_stops(guest: &Guest) -> Result<Next, Failure> {
    define_script(ID, STAYS, "")?;
    let known = history(ID).map_or(0, |rows| rows.len());
    sh("systemctl start brain-experiment@amnesiac_001")?.success()?;
    sh("systemctl is-active brain-experiment@amnesiac_001")?.success()?;
    wait_for_line(guest, ID, "hello from the jar, attempt 1")?;
    sh("journalctl -u brain-experiment@amnesiac_001 | grep 'hello from the jar'")?.success()?;
    sh("journalctl -t brain-experiment-amnesiac_001 | grep 'hello from the jar'")?.success()?;
    let first = property(&unit(ID), "MainPID")?;
    sh("systemctl restart brain-experiment@amnesiac_001")?.success()?;
    let second = property(&unit(ID), "MainPID")?;
    ensure!(first != second && second != "0", "restart: process {first}, then {second}");
    sh("systemctl stop brain-experiment@amnesiac_001")?.success()?;
    ensure_eq!(property(&unit(ID), "ActiveState")?, "inactive", "ActiveState after a stop");
    ensure_causes(&history(ID)?[known..], &["stopped", "stopped"])?;
    ensure_eq!(status(ID)?["crashes"], 0, "crashes of an experiment that was only stopped");
    Ok(Next::Done)
}

fn enables_for_the_target(guest: &Guest) -> Result<Next, Failure> {
    define_script(ID, STAYS, "")?;
    sh("systemctl enable brain-experiment@amnesiac_001")?.success()?;
    let wants = "/etc/systemd/system/brain-experiment.target.wants";
    let link = Path::new(wants).join("brain-experiment@amnesiac_001.service");
    ensure!(link.is_symlink(), "enable made no link {}", link.display());
    // Boot has reached the target already; starting it anew starts what has been enabled since.
    sh("systemctl stop brain-experiment.target")?.success()?;
    sh("systemctl start brain-experiment.target")?.success()?;
    wait_for_state(guest, ID, "active")?;
    sh("systemctl stop brain-experiment.target")?.success()?;
    wait_for_state(guest, ID, "inactive")?;
    sh("systemctl disable brain-experiment@amnesiac_001")?.success()?;
    ensure!(!link.is_symlink(), "disable left the link {}", link.display());
    sh("systemctl start brain-experiment.target")?.success()?;
    ensure_eq!(property(&unit(ID), "ActiveState")?, "inactive", "ActiveState when disabled");
    Ok(Next::Done)
}

fn shows_restarts_and_limit(guest: &Guest) -> Result<Next, Failure> {
    let script = "[ \"$BIJ_ATTEMPT\" = 1 ] && exit 9; exec sleep 600";
    define_script(ID, script, "[limits]\nmemory = \"64M\"\n[restart]\ndelay = \"100ms\"")?;
    sh("systemctl start brain-experiment@amnesiac_001")?;
    guest.wait_for("the second attempt", crate::bij::SOON, || {
        Ok((property(&unit(ID), "NRestarts")? == "1").then_some(()))
    })?;
    wait_for_state(guest, ID, "active")?;
    let shown = sh("systemctl show brain-experiment@amnesiac_001 --property=NRestarts,MemoryMax")?
        .success()?
        .says("NRestarts=1")?
        .says("MemoryMax=67108864")?;
    ensure_eq!(shown.stdout().lines().count(), 2, "lines of `systemctl show`");
    Ok(Next::Done)
}

fn set_property_is_stronger(guest: &Guest) -> Result<Next, Failure> {
    define_script(ID, STAYS, "[limits]\nmemory = \"64M\"")?;
    sh("systemctl start brain-experiment@amnesiac_001")?.success()?;
    sh("systemctl set-property brain-experiment@amnesiac_001 MemoryMax=8G")?.success()?;
    let expected = (8_u64 << 30).to_string();
    for when in ["while it runs", "after a restart"] {
        ensure_eq!(property(&unit(ID), "MemoryMax")?, expected, "MemoryMax {when}");
        if guest.lane() != Lane::Machine {
            let kernel = guest.kernel_memory_limit(&unit(ID))?;
            ensure_eq!(kernel, expected, "the kernel's limit {when}");
        }
        sh("systemctl restart brain-experiment@amnesiac_001")?.success()?;
    }
    Ok(Next::Done)
}

fn reset_failed_keeps_counts(guest: &Guest) -> Result<Next, Failure> {
    let id = "reset_001";
    define_script(id, "exit 9", "[restart]\ndelay = \"100ms\"\nburst = 1")?;
    render_all()?;
    sh("systemctl start brain-experiment@reset_001")?;
    wait_for_ended(guest, id, 1)?;
    wait_for_state(guest, id, "failed")?;
    sh("systemctl reset-failed brain-experiment@reset_001")?.success()?;
    wait_for_state(guest, id, "inactive")?;
    ensure_eq!(status(id)?["crashes"], 1, "crashes after reset-failed");
    ensure_eq!(status(id)?["crashes_by_cause"]["exit"], 1, "crashes by exit after reset-failed");
    Ok(Next::Done)
}
