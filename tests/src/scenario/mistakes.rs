//! Mistakes of people get a sentence with the remedy, change nothing, and never a panic.

use super::Scenario;
use crate::bij::{
    SOON, define_script, history, override_unit, systemctl, unit, wait_for_line, wait_for_state,
};
use crate::check::{Failure, ensure, ensure_eq};
use crate::command::{Output, run, sh};
use crate::guest::{Guest, Next};
use crate::protocol::Lane;
use crate::steps::{define, property};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new("mistakes_in_ids_are_refused", Lane::CONTAINER, in_ids_are_refused),
    Scenario::new("mistakes_in_definitions_are_named", Lane::CONTAINER, in_definitions_are_named),
    Scenario::new("mistakes_in_names_are_shown", Lane::CONTAINER, in_names_are_shown),
    Scenario::new("mistakes_in_paths_are_told", Lane::CONTAINER, in_paths_are_told),
    Scenario::new("mistakes_after_submission_are_told", Lane::CONTAINER, after_submission_are_told),
    Scenario::new("mistakes_in_units_are_told", Lane::CONTAINER, in_units_are_told),
    Scenario::new("mistakes_of_permission_are_named", Lane::CONTAINER, of_permission_are_named),
];

/// A refusal: one of these exit codes, a sentence, and no panic.
fn refused(output: &Output, codes: &[i32]) -> Result<(), Failure> {
    if !output.exit_code().is_some_and(|code| codes.contains(&code)) {
        return Err(output.unexpected(&format!("one of the exit codes {codes:?}")));
    }
    let silent = output.stderr().trim().is_empty() && output.stdout().trim().is_empty();
    if silent || output.stderr().contains("panicked") {
        return Err(output.unexpected("a sentence"));
    }
    Ok(())
}

fn in_ids_are_refused(_: &Guest) -> Result<Next, Failure> {
    for id in ["../x", "%i", "a/b", "", "a b", "-x", &"x".repeat(65)] {
        for verb in ["start", "stop", "status", "show"] {
            refused(&run("bij", [verb, "--", id])?, &[2, 101, 102])?;
        }
    }
    refused(&run("bij", ["start", "nobody_defined_this"])?, &[101, 102])?;
    Ok(Next::Done)
}

fn in_definitions_are_named(_: &Guest) -> Result<Next, Failure> {
    define("mistake_key", "command = [\"/bin/true\"]\n[limits]\nmemroy = \"1G\"\n")?;
    let output = run("bij", ["check", "mistake_key"])?;
    refused(&output, &[101])?;
    let output = output.says("memroy")?.says("memory")?;
    output.says("mistake_key.toml")?;
    define("mistake_unit", "command = [\"/bin/true\"]\n[limits]\nmemory = \"8 bananas\"\n")?;
    refused(&run("bij", ["check", "mistake_unit"])?, &[101])?;
    refused(&run("bij", ["start", "mistake_unit"])?, &[101])?;
    ensure_eq!(
        property(&unit("mistake_unit"), "ActiveState")?,
        "inactive",
        "after a refused start"
    );
    ensure!(history("mistake_unit").is_ok_and(|rows| rows.is_empty()), "it has an attempt");
    Ok(Next::Done)
}

/// `systemctl start` of a name that nobody defined leaves a failed unit: bij shows the same unit.
fn in_names_are_shown(guest: &Guest) -> Result<Next, Failure> {
    let id = "mistake_name";
    systemctl("start", id)?.code(1)?;
    let status = run("bij", ["status", id])?.success()?;
    let status = status.says("not-found (no definition)")?.says("failed (Result: exit-code)")?;
    status.says("there is no experiment mistake_name")?;
    guest.wait_for("its lines", SOON, || {
        run("bij", ["logs", id])?.success()?.says("hint: write ").map(Some)
    })?;
    run("bij", ["show", id])?.success()?.says("Definition=")?;
    run("bij", ["reset", id])?.success()?;
    ensure_eq!(property(&unit(id), "ActiveState")?, "inactive", "after bij reset");
    refused(&run("bij", ["status", id])?, &[102])?;
    Ok(Next::Done)
}

/// systemd takes a hook that it cannot start for a condition that says "not now": also the second
/// start, with a unit that knows the missing path, has to fail aloud.
fn in_paths_are_told(guest: &Guest) -> Result<Next, Failure> {
    for (id, rest, word) in [
        ("mistake_writable", "writable = [\"/nowhere/logs\"]", "mkdir -p /nowhere/logs"),
        ("mistake_directory", "directory = \"/nowhere\"", "the directory /nowhere"),
        ("mistake_user", "user = \"nosuchuser\"", "217/USER"),
    ] {
        define(id, &format!("command = [\"/bin/sleep\", \"600\"]\n{rest}\n"))?;
        refused(&run("bij", ["start", id])?, &[101])?;
        for _ in 0..2 {
            systemctl("start", id)?.code(1)?;
            wait_for_line(guest, id, word)?;
            systemctl("stop", id)?.success()?;
            systemctl("reset-failed", id)?;
        }
    }
    Ok(Next::Done)
}

/// A directory that is removed while its run is held: the run says so wherever it is looked at, waits for no
/// other run, and starts once the directory is back.
fn after_submission_are_told(guest: &Guest) -> Result<Next, Failure> {
    sh("systemctl start brain-experiment-coordinator")?.success()?;
    let id = "mistake_removed";
    sh("mkdir -p /srv/mistake")?.success()?;
    let text = "command = [\"/bin/sleep\", \"600\"]\ndirectory = \"/srv/mistake\"\n";
    define(id, text)?;
    run("bij", ["submit", "--hold", id])?.success()?;
    sh("rmdir /srv/mistake")?.success()?;
    run("bij", ["release", id])?.success()?;
    let reason = "the directory /srv/mistake is not there: mkdir -p /srv/mistake";
    guest.wait_for("the reason in bij why", SOON, || {
        run("bij", ["why", id])?.success()?.says(reason).map(Some)
    })?;
    let why = run("bij", ["why", id])?.success()?;
    ensure!(!why.stdout().contains("is up"), "it waits for itself: {}", why.stdout());
    run("bij", ["events"])?.success()?.says(reason)?;
    wait_for_line(guest, id, reason)?;
    sh("mkdir /srv/mistake")?.success()?;
    wait_for_state(guest, id, "active")?;
    systemctl("stop", id)?.success()?;
    Ok(Next::Done)
}

/// A unit that systemd does not load, because it is masked or has a bad setting: `bij start` and `bij why` say
/// so, and the run starts once that is mended.
fn in_units_are_told(guest: &Guest) -> Result<Next, Failure> {
    sh("systemctl start brain-experiment-coordinator")?.success()?;
    let (masked, bad) = ("mistake_masked", "mistake_setting");
    for id in [masked, bad] {
        define_script(id, "exec sleep 600", "")?;
    }
    systemctl("mask", masked)?.success()?;
    override_unit(bad, "[Service]\nExecStart=\n")?;
    for (id, what, remedy) in [
        (masked, "is masked", "systemctl unmask brain-experiment@mistake_masked.service"),
        (bad, "has a bad setting", "systemctl status brain-experiment@mistake_setting.service"),
    ] {
        run("bij", ["start", id])?.code(1)?.says(what)?.says(remedy)?;
        run("bij", ["submit", id])?.success()?;
        guest.wait_for("the reason in bij why", SOON, || {
            run("bij", ["why", id])?.success()?.says(what)?.says(remedy).map(Some)
        })?;
    }
    systemctl("unmask", masked)?.success()?;
    sh("systemctl revert brain-experiment@mistake_setting.service")?.success()?;
    for id in [masked, bad] {
        // It is not put off any longer.
        run("bij", ["release", id])?.success()?;
        wait_for_state(guest, id, "active")?;
        systemctl("stop", id)?.success()?;
    }
    Ok(Next::Done)
}

fn of_permission_are_named(_: &Guest) -> Result<Next, Failure> {
    let id = "mistake_permission";
    define_script(id, "exec sleep 600", "")?;
    systemctl("start", id)?.success()?;
    let as_nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    for verb in ["stop", "start"] {
        let output = run("setpriv", as_nobody.into_iter().chain(["bij", verb, id]))?;
        if verb == "stop" {
            refused(&output, &[103])?;
        }
    }
    ensure_eq!(property(&unit(id), "ActiveState")?, "active", "after somebody else's stop");
    // Looking is free.
    run("setpriv", as_nobody.into_iter().chain(["bij", "list"]))?.success()?;
    Ok(Next::Done)
}
