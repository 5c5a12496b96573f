//! A member of group `bij` starts and stops experiments, and touches the jobs of nothing else.

use super::{Scenario, as_member, as_stranger, create_attackers};
use crate::bij::{define_script, ensure_causes, history, status, systemctl, unit, wait_for_state};
use crate::check::{Failure, ensure, ensure_eq};
use crate::command::{Output, sh};
use crate::guest::{Guest, Next};
use crate::protocol::Lane;
use crate::steps::property;

pub(in crate::scenario) const SCENARIOS: &[Scenario] = &[
    Scenario::new("attack_members_leave_other_jobs_alone", Lane::CONTAINER, leave_others_alone),
    Scenario::new("attack_members_steer_by_the_coordinator", Lane::CONTAINER, steer_by_coordinator),
];

/// Every mode that systemctl(1) knows, of any version.
const MODES: &[&str] = &[
    "replace",
    "fail",
    "replace-irreversibly",
    "isolate",
    "ignore-dependencies",
    "ignore-requirements",
    "flush",
    "triggering",
    "restart-dependencies",
    "lenient",
];

/// A job of root's waits while a member asks systemd for jobs in every mode: it is still there afterwards,
/// and nothing of the member's has been done.
fn leave_others_alone(guest: &Guest) -> Result<Next, Failure> {
    create_attackers()?;
    let (members, roots) = ("jobs_member", "jobs_root");
    define_script(members, "exec sleep 600", "")?;
    // It never says that it is ready, so its start stays a job.
    define_script(roots, "exec sleep 600", "[health]\nnotify = true")?;
    sh("systemctl daemon-reload
        systemctl start brain-experiment-coordinator
        systemctl start --no-block brain-experiment@jobs_root")?
    .success()?;
    wait_for_state(guest, roots, "activating")?;
    let job = property(&unit(roots), "Job")?;
    ensure!(!job.is_empty() && job != "0", "the start of {roots} is no job: {job:?}");
    for mode in MODES {
        for verb in ["start", "stop", "restart", "try-restart"] {
            let asked = as_member(&format!(
                "systemctl --no-ask-password --job-mode={mode} {verb} {}",
                unit(members)
            ))?;
            ensure!(!asked.succeeded(), "a member did `{verb}` with job mode {mode}");
            ensure_eq!(property(&unit(roots), "Job")?, job, "root's job after {verb} {mode}");
        }
    }
    for (call, signature, words) in
        [("RefUnit", "s", ""), ("ResetFailedUnit", "s", ""), ("KillUnit", "ssi", "all 9")]
    {
        let asked = as_member(&format!(
            "busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 \
             org.freedesktop.systemd1.Manager {call} {signature} {} {words}",
            unit(roots)
        ))?;
        ensure!(!asked.succeeded(), "a member called {call}");
    }
    ensure_eq!(property(&unit(members), "ActiveState")?, "inactive", "the member's unit");
    sh("systemctl stop brain-experiment@jobs_root")?.success()?;
    Ok(Next::Done)
}

/// `bij start`, `stop`, `restart` and `reset` do for a member what they do for root, and say the
/// same; a stranger is refused with a remedy, and so is everybody else than root without a coordinator.
fn steer_by_coordinator(guest: &Guest) -> Result<Next, Failure> {
    create_attackers()?;
    let id = "jobs_steered";
    define_script(id, "exec sleep 600", "")?;
    define_script("jobs_fails", "exit 3", "[restart]\nburst = 1")?;
    sh("systemctl daemon-reload; systemctl start brain-experiment-coordinator")?.success()?;
    let known = history(id)?.len();
    for command in ["bij start jobs_steered", "bij start jobs_steered", "bij restart jobs_steered"]
    {
        as_member(command)?.success()?;
        wait_for_state(guest, id, "active")?;
    }
    let refused = as_stranger("bij stop jobs_steered")?.code(103)?;
    refused.says("usermod -aG bij stranger")?;
    as_member("bij stop jobs_steered nothing_there")?.code(102)?;
    as_member("bij stop jobs_steered")?.success()?.says("jobs_steered: stopped")?;
    wait_for_state(guest, id, "inactive")?;
    as_member("bij stop jobs_steered")?.success()?.says("jobs_steered: was not up")?;
    let attempts = history(id)?.split_off(known);
    ensure_causes(&attempts, &["stopped", "stopped"])?;
    let by = attempts[1].to_string();
    ensure!(
        by.contains("bij stop by member (uid"),
        "the kernel's name of the caller is not in {by}"
    );
    fails_and_is_reset(guest)?;
    without_coordinator(id)?;
    Ok(Next::Done)
}

fn fails_and_is_reset(guest: &Guest) -> Result<(), Failure> {
    // Whether it is up before it fails is a race.
    as_member("bij start jobs_fails")?;
    wait_for_state(guest, "jobs_fails", "failed")?;
    as_member("bij reset jobs_fails")?.success()?.says("jobs_fails: reset")?;
    wait_for_state(guest, "jobs_fails", "inactive")?;
    ensure_eq!(status("jobs_fails")?["crashes"], 1, "crashes after a reset");
    // A closed gate queues a member's start as it does root's.
    as_member("bij pause")?.success()?;
    let skipped = as_member("bij start jobs_steered")?.success()?.says("queued as")?;
    as_member("bij cancel jobs_steered; bij resume")?.success()?;
    ensure!(!skipped.stdout().contains("failed"), "a skipped start is a failure");
    Ok(())
}

fn without_coordinator(id: &str) -> Result<(), Failure> {
    sh("systemctl stop brain-experiment-coordinator.service brain-experiment-coordinator.socket \
        2>/dev/null || systemctl stop brain-experiment-coordinator")?
    .success()?;
    let refused: Output = as_member(&format!("bij start {id}"))?.code(103)?;
    refused.says("systemctl enable --now brain-experiment-coordinator")?;
    systemctl("start", id)?.success()?;
    systemctl("stop", id)?.success()?;
    Ok(())
}
