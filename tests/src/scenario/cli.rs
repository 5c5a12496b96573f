//! `bij` and systemd tell one story: what one starts, the other sees.

use std::path::Path;

use serde_json::Value;

use super::Scenario;
use crate::bij::{
    define_script, ensure_causes, history, status, unit, wait_for_ended, wait_for_line,
    wait_for_state,
};
use crate::check::{Failure, ensure, ensure_eq};
use crate::command::{run, sh};
use crate::guest::{Guest, Next};
use crate::protocol::Lane;
use crate::queue::set_coordinator;
use crate::steps::{property, write};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "cli_commands_find_the_tools_of_their_shell",
        Lane::CONTAINER,
        commands_find_tools,
    ),
    Scenario::new("cli_run_follows_to_the_end", Lane::CONTAINER, run_follows_to_the_end),
    Scenario::new("cli_run_is_stopped_by_an_interrupt", Lane::CONTAINER, run_is_stopped),
    Scenario::new("cli_waits_in_the_queue", Lane::CONTAINER, waits_in_the_queue),
    Scenario::new("cli_extras_hold_for_one_run", Lane::CONTAINER, extras_hold_for_one_run),
    Scenario::new("cli_stop_tells_who", Lane::CONTAINER, stop_tells_who),
    Scenario::new("cli_logs_tell_attempts_apart", Lane::CONTAINER, logs_tell_attempts_apart),
    Scenario::new("cli_starts_and_stops_all", Lane::CONTAINER, starts_and_stops_all),
    Scenario::new("cli_takes_the_older_tools_config", Lane::CONTAINER, takes_the_older_config),
    Scenario::new("cli_status_has_its_keys", Lane::CONTAINER, status_has_its_keys),
];

fn run_follows_to_the_end(_: &Guest) -> Result<Next, Failure> {
    let made = run("bij", ["run", "--quiet", "--", "/bin/sh", "-c", "echo made by hand"])?;
    ensure_eq!(made.stdout(), "made by hand\n", "the output of a command, {made:?}");
    made.success()?;
    let script = "echo \"attempt $BIJ_ATTEMPT\"; [ $BIJ_ATTEMPT = 2 ] && exit 78; exit 9";
    define_script("cli_run", script, "[restart]\ndelay = \"100ms\"\n")?;
    let ran = run("bij", ["run", "cli_run"])?.code(78)?;
    ensure_eq!(ran.stdout(), "attempt 1\nattempt 2\n", "the output of two attempts");
    ran.says("exit code 9")?;
    ensure_causes(&history("cli_run")?, &["exit", "exit"])?;
    let json = run("bij", ["--json", "run", "--limit", "memory=64M", "--", "/bin/true"])?;
    ensure_eq!(json.json()?[0]["cause"], "success", "the closing table");
    Ok(Next::Done)
}

fn run_is_stopped(_: &Guest) -> Result<Next, Failure> {
    define_script("cli_interrupt", "trap 'exit 0' TERM; while :; do sleep 0.1; done", "")?;
    // In the foreground: otherwise timeout(1) signals its child and then its whole group, which may be two.
    let interrupted = "timeout --foreground --preserve-status -s INT 5 bij run cli_interrupt";
    sh(interrupted)?.success()?.says("Stopping in good order")?;
    let rows = history("cli_interrupt")?;
    ensure_causes(&rows, &["stopped"])?;
    ordered_by(&rows, "Ctrl-C by ")?;
    Ok(Next::Done)
}

/// `bij start` of what has to wait says so and returns; `bij run` waits with it and follows it.
fn waits_in_the_queue(guest: &Guest) -> Result<Next, Failure> {
    set_coordinator("MAX_CONCURRENT_EXPERIMENTS=1\n")?;
    let (first, second, third) = ("cli_queue_1", "cli_queue_2", "cli_queue_3");
    define_script(first, "sleep 3", "")?;
    define_script(second, "exit 0", "")?;
    define_script(third, "echo \"my turn\"; exit 7", "[restart]\nburst = 1\n")?;
    run("bij", ["start", first])?.success()?;
    wait_for_state(guest, first, "active")?;
    run("bij", ["start", second])?.success()?.says("1 of 1 slots are taken")?;
    let followed = run("bij", ["run", third])?.code(7)?;
    let (said, last) = followed.stdout().split_once('\n').unwrap_or_default();
    ensure!(said.starts_with("not now: 1 of 1 slots are taken"), "the unit's own line: {said}");
    ensure_eq!(last, "my turn\n", "what it has followed");
    ensure_causes(&history(second)?, &["success"])?;
    Ok(Next::Done)
}

fn extras_hold_for_one_run(guest: &Guest) -> Result<Next, Failure> {
    let id = "cli_extras";
    define_script(id, "echo \"seed=$SEED.\"; exec sleep 600", "")?;
    run("bij", ["start", id, "-E", "SEED=7", "--limit", "memory=64M"])?.success()?;
    wait_for_line(guest, id, "seed=7.")?;
    ensure_eq!(property(&unit(id), "MemoryMax")?, "67108864", "MemoryMax with the extras");
    run("bij", ["show", id])?.says("extras.environment.SEED=7")?.says("extras.limits.memory=")?;
    // What is up is not changed under its feet.
    run("bij", ["start", id, "-E", "SEED=8"])?.code(1)?.says("already up")?;
    run("bij", ["stop", id])?.success()?;
    run("bij", ["start", id])?.success()?;
    wait_for_line(guest, id, "seed=.")?;
    ensure_eq!(property(&unit(id), "MemoryMax")?, "infinity", "MemoryMax without them");
    Ok(Next::Done)
}

/// Who is written down for the last attempt.
fn ordered_by(rows: &[Value], start: &str) -> Result<(), Failure> {
    let by = rows.last().and_then(|row| row["evidence"]["order"]["by"].as_str());
    ensure!(by.is_some_and(|by| by.starts_with(start)), "not {start:?} but {by:?} ended it");
    Ok(())
}

fn stop_tells_who(_: &Guest) -> Result<Next, Failure> {
    let id = "cli_stop";
    define_script(id, "exec sleep 600", "")?;
    run("bij", ["start", id])?.success()?;
    run("bij", ["stop", "brain-experiment@cli_stop.service"])?.success()?.says("stopped")?;
    ordered_by(&history(id)?, "bij stop by root")?;
    ensure!(!Path::new("/run/brain-in-jar/orders/cli_stop.json").exists(), "the order stays");
    run("bij", ["stop", id])?.success()?.says("was not up")?;
    ensure!(!Path::new("/run/brain-in-jar/stop/cli_stop").exists(), "the stop file stays");
    run("bij", ["stop", "cli_nobody"])?.code(102)?;
    Ok(Next::Done)
}

fn logs_tell_attempts_apart(guest: &Guest) -> Result<Next, Failure> {
    let id = "cli_logs";
    let script = "echo \"this is $BIJ_ATTEMPT\"; sleep 0.2; [ $BIJ_ATTEMPT = 2 ]";
    define_script(id, script, "[restart]\ndelay = \"100ms\"\n")?;
    run("bij", ["start", id])?.success()?;
    wait_for_ended(guest, id, 2)?;
    wait_for_line(guest, id, "this is 2")?;
    let second = run("bij", ["logs", id, "--attempt", "2"])?.success()?.says("this is 2")?;
    ensure!(!second.stdout().contains("this is 1"), "{}", second.unexpected("attempt 2 alone"));
    run("bij", ["logs"])?.success()?.says("this is 1")?.says("this is 2")?;
    let lines = run("bij", ["logs", id, "3"])?.success()?;
    ensure_eq!(lines.stdout().lines().count(), 3, "lines of `bij logs ID 3`");
    run("bij", ["logs", id, "--since", "-1h", "--grep", "this is 2"])?.says("this is 2")?;
    run("bij", ["status", id])?.success()?.says("this is 2")?.says("Crashes: 1 (exit 1)")?;
    Ok(Next::Done)
}

fn starts_and_stops_all(guest: &Guest) -> Result<Next, Failure> {
    for id in ["cli_all_1", "cli_all_2", "cli_all_3"] {
        define_script(id, "exec sleep 600", "")?;
    }
    run("bij", ["enable", "cli_all_1", "cli_all_2"])?.success()?;
    ensure_eq!(property(&unit("cli_all_1"), "UnitFileState")?, "enabled", "UnitFileState");
    run("bij", ["start-all"])?.success()?;
    wait_for_state(guest, "cli_all_1", "active")?;
    wait_for_state(guest, "cli_all_2", "active")?;
    ensure_eq!(property(&unit("cli_all_3"), "ActiveState")?, "inactive", "one not enabled");
    run("bij", ["list"])?.success()?.says("cli_all_1")?.says("cli_all_3")?;
    run("bij", ["stop-all"])?.success()?;
    wait_for_state(guest, "cli_all_2", "inactive")?;
    run("bij", ["disable", "cli_all_1", "cli_all_2"])?.success()?;
    ensure_eq!(property(&unit("cli_all_1"), "UnitFileState")?, "disabled", "UnitFileState");
    Ok(Next::Done)
}

fn takes_the_older_config(guest: &Guest) -> Result<Next, Failure> {
    let settings = Path::new("/etc/brain-in-jar/coordinator.toml");
    write(settings, "[runner]\ncommand = [\"/bin/cat\", \"{config}\"]\n")?;
    let config = Path::new("/srv/cli_older.json");
    write(config, "{\"experiment_id\": \"cli_older\", \"mode\": \"amnesiac_loop\"}\n")?;
    let started = run("bij", ["start", "cli_older", "/srv/cli_older.json"])?;
    let ended = wait_for_ended(guest, "cli_older", 1);
    std::fs::remove_file(settings)
        .map_err(|error| Failure::new(format!("{}: {error}", settings.display())))?;
    started.success()?;
    ensure_causes(&ended?, &["success"])?;
    wait_for_line(guest, "cli_older", "amnesiac_loop")?;
    run("bij", ["start", "cli_older", "/srv/nowhere.json"])?.code(101)?.says("nowhere.json")?;
    Ok(Next::Done)
}

fn status_has_its_keys(_: &Guest) -> Result<Next, Failure> {
    let id = "cli_keys";
    define_script(id, "exec sleep 600", "[limits]\nmemory = \"64M\"\ncpu = \"150%\"\n")?;
    run("bij", ["start", id])?.success()?;
    let status = status(id)?;
    for key in [
        "id",
        "state",
        "sub_state",
        "result",
        "run",
        "attempt",
        "crashes",
        "crashes_by_cause",
        "memory_current",
        "memory_peak",
        "memory_max",
        "cpu_usage_nsec",
        "cpu_quota_percent",
        "pid",
        "invocation_id",
        "since",
        "progress",
    ] {
        ensure!(status.get(key).is_some(), "{key} is missing in {status}");
    }
    ensure_eq!(status["state"], "active", "state");
    ensure_eq!(status["pid"].to_string(), property(&unit(id), "MainPID")?, "pid");
    let invocation = property(&unit(id), "InvocationID")?;
    ensure_eq!(status["invocation_id"], invocation.as_str(), "invocation");
    let list = run("bij", ["--json", "list"])?.success()?.json()?;
    let mine = list.as_array().into_iter().flatten().find(|one| one["id"] == id);
    ensure!(mine.is_some_and(|one| one["state"] == "active"), "{id} is not in {list}");
    run("bij", ["status", id])?.success()?.says("Active: active (running) since")?;
    Ok(Next::Done)
}

/// An activated environment goes along with a command that is typed, and a secret of the shell does not.
fn commands_find_tools(_: &Guest) -> Result<Next, Failure> {
    let call =
        "mkdir -p /opt/tools/bin && printf '#!/bin/sh\\necho helped\\n' >/opt/tools/bin/helper
        chmod +x /opt/tools/bin/helper; cd /
        export PATH=/opt/tools/bin:$PATH VIRTUAL_ENV=/opt/tools HF_TOKEN=secret SEED=42";
    let script = "helper; echo \"[$VIRTUAL_ENV] [$HF_TOKEN] [$SEED]\"";
    let run = |id: &str, option: &str| {
        sh(&format!("{call}; bij -q run {option} --name {id} -- sh -c '{script}'"))
    };
    let plain = run("cli_tools", "-E SEED")?.success()?;
    ensure_eq!(plain.stdout(), "helped\n[/opt/tools] [] [42]\n", "what a command finds");
    let clean = run("cli_tools_clean", "--clean-env")?.success()?;
    // Under systemd both outputs of a program come as one.
    ensure!(clean.stdout().ends_with("[] [] []\n"), "--clean-env: {}", clean.stdout());
    let kept = sh(
        "grep -rl secret /var/lib/brain-in-jar/definitions /run/brain-in-jar /run/systemd 2>/dev/null",
    )?;
    ensure_eq!(kept.stdout(), "", "files that hold the secret");
    Ok(Next::Done)
}
