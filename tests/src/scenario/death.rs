//! Whatever an experiment dies of is called by its name.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::Scenario;
use crate::bij::{
    define_script, history, render_all, systemctl, unit, wait_for_ended, wait_for_line,
};
use crate::check::{Failure, ensure, ensure_eq};
use crate::command::{run, sh};
use crate::guest::{Guest, Next};
use crate::protocol::Lane;
use crate::steps::{property, write};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new("death_by_code_and_signal", Lane::CONTAINER, by_code_and_signal),
    Scenario::new("death_by_memory_is_named_as_such", Lane::VM, by_memory_is_named_as_such),
    Scenario::new("death_of_a_child_by_memory", Lane::VM, of_a_child_by_memory),
    Scenario::new("death_by_watchdog", Lane::CONTAINER, by_watchdog),
    Scenario::new("death_by_new_watchdog", Lane::CONTAINER, by_watchdog_of_a_new_definition),
    Scenario::new("death_by_time_limit", Lane::CONTAINER, by_time_limit),
    Scenario::new("death_by_stop_timeout", Lane::CONTAINER, by_stop_timeout),
    Scenario::new("death_with_a_child_left_behind", Lane::CONTAINER, with_a_child_left_behind),
    Scenario {
        time_limit: Duration::from_secs(120),
        ..Scenario::new("death_after_a_flood", Lane::CONTAINER, after_a_flood)
    },
    Scenario::new("death_of_work_in_the_background", Lane::ALL, of_work_in_the_background),
    Scenario::new("death_before_the_start", Lane::CONTAINER, before_the_start),
    Scenario {
        time_limit: Duration::from_secs(120),
        ..Scenario::new("death_three_times_is_final", Lane::ALL, three_times_is_final)
    },
    Scenario::new("death_three_times_when_new", Lane::CONTAINER, three_times_when_new),
];

/// One attempt only.
const ONCE: &str = "[restart]\nburst = 1\ndelay = \"100ms\"";

/// Takes far more memory than any limit here.
const EATS: &str = "exec python3 -c 'b = bytearray(256 << 20)'";

/// Says that it is ready, and then nothing more.
const FALLS_SILENT: &str = "exec python3 -c '\
        import os, socket, time\n\
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n\
        s.connect(os.environ[\"NOTIFY_SOCKET\"].replace(\"@\", \"\\0\"))\n\
        s.send(b\"READY=1\\nSTATUS=looking around\")\n\
        time.sleep(600)'";

/// Prints a flood of progress at once, works until journald has taken it from its buffer even on a slow host, and dies of
/// an exception.
const FLOODS: &str = "exec python3 -c '\
        import sys, time\n\
        for i in range(200000): print(\"step %d loss 0.1234 lr 1e-4\" % i)\n\
        sys.stdout.flush()\n\
        time.sleep(20)\n\
        raise RuntimeError(\"the line that matters\")'";

/// Starts it, waits for its one attempt to end, and returns that attempt.
fn die(guest: &Guest, id: &str, script: &str, rest: &str) -> Result<Value, Failure> {
    start(id, script, rest)?;
    only_attempt(guest, id)
}

fn start(id: &str, script: &str, rest: &str) -> Result<(), Failure> {
    define_script(id, script, rest)?;
    render_all()?;
    // Whether the start job itself fails depends on how fast it dies.
    systemctl("start", id)?;
    Ok(())
}

/// Waits for the one attempt of an experiment to end, and returns it.
fn only_attempt(guest: &Guest, id: &str) -> Result<Value, Failure> {
    let mut rows = wait_for_ended(guest, id, 1)?;
    ensure_eq!(rows.len(), 1, "attempts of {id}");
    rows.pop().ok_or(Failure::new("no attempt"))
}

fn ensure_cause(attempt: &Value, cause: &str) -> Result<(), Failure> {
    ensure_eq!(attempt["cause"], cause, "the cause of {attempt}");
    ensure!(!attempt["evidence"].is_null(), "no evidence in {attempt}");
    Ok(())
}

fn by_code_and_signal(guest: &Guest) -> Result<Next, Failure> {
    let attempt = die(guest, "death_code", "exit 9", ONCE)?;
    ensure_cause(&attempt, "exit")?;
    ensure_eq!(attempt["exit_code"], 9, "the exit code in {attempt}");
    let attempt = die(guest, "death_signal", "kill -SEGV $$; sleep 60", ONCE)?;
    ensure_cause(&attempt, "signal")?;
    ensure_eq!(attempt["signal"], 11, "the signal in {attempt}");
    let attempt = die(guest, "death_none", "exit 0", ONCE)?;
    ensure_cause(&attempt, "success")?;
    Ok(Next::Done)
}

fn by_memory_is_named_as_such(guest: &Guest) -> Result<Next, Failure> {
    let limits = format!("[limits]\nmemory = \"32M\"\nswap = \"0\"\n{ONCE}");
    let attempt = die(guest, "death_memory", EATS, &limits)?;
    ensure_cause(&attempt, "oom-kill")?;
    ensure_eq!(attempt["signal"], 9, "the signal in {attempt}");
    Ok(Next::Done)
}

fn of_a_child_by_memory(guest: &Guest) -> Result<Next, Failure> {
    let limits = format!("[limits]\nmemory = \"32M\"\nswap = \"0\"\n{ONCE}");
    let script = "python3 -c 'b = bytearray(256 << 20)'; exit 0";
    let attempt = die(guest, "death_child", script, &limits)?;
    // With OOMPolicy=stop and the unified hierarchy PID 1 may see the kill before the parent's exit,
    // and then it is systemd that calls the whole unit killed for memory.
    let cause = attempt["cause"].as_str().unwrap_or_default();
    let allowed = cause == "success" || cause == "oom-kill" && guest.lane() == Lane::VmV2;
    ensure!(allowed, "a child killed for memory: {attempt}");
    let evidence = attempt["evidence"].to_string();
    ensure!(evidence.contains("oom"), "the evidence is silent about the child: {attempt}");
    Ok(Next::Done)
}

fn by_watchdog(guest: &Guest) -> Result<Next, Failure> {
    let rest = format!("{ONCE}\n[health]\nnotify = true\nwatchdog = \"2s\"");
    let attempt = die(guest, "death_watchdog", FALLS_SILENT, &rest)?;
    ensure_cause(&attempt, "watchdog")?;
    let evidence = attempt["evidence"].to_string();
    ensure!(evidence.contains("looking around"), "its last words are lost: {attempt}");
    Ok(Next::Done)
}

/// The first start reads the definition in its midst; the heartbeats are due all the same.
fn by_watchdog_of_a_new_definition(guest: &Guest) -> Result<Next, Failure> {
    let id = "death_watchdog_new";
    let rest = format!("{ONCE}\n[health]\nnotify = true\nwatchdog = \"2s\"");
    define_script(id, FALLS_SILENT, &rest)?;
    systemctl("start", id)?;
    let rows = wait_for_ended(guest, id, 1)?;
    ensure_cause(&rows[0], "watchdog")?;
    Ok(Next::Done)
}

fn by_time_limit(guest: &Guest) -> Result<Next, Failure> {
    let rest = format!("{ONCE}\n[limits]\ntime = \"2s\"");
    let attempt = die(guest, "death_time", "exec sleep 600", &rest)?;
    ensure_cause(&attempt, "time-limit")?;
    Ok(Next::Done)
}

fn by_stop_timeout(guest: &Guest) -> Result<Next, Failure> {
    let id = "death_stubborn";
    let script = "trap '' TERM; echo I stay; while :; do sleep 1; done";
    define_script(id, script, "[stop]\ngrace = \"2s\"")?;
    systemctl("start", id)?.success()?;
    wait_for_line(guest, id, "I stay")?;
    systemctl("stop", id)?;
    let rows = wait_for_ended(guest, id, 1)?;
    ensure_cause(&rows[0], "stop-timeout")?;
    Ok(Next::Done)
}

/// What the main process said counts, and the child that did not leave is named. The same holds for a stop
/// to which the main process listens and its child does not.
fn with_a_child_left_behind(guest: &Guest) -> Result<Next, Failure> {
    let stays = "trap '' TERM; sleep 600 & ";
    let grace = "[stop]\ngrace = \"2s\"\n[restart]\ndelay = \"100ms\"";
    let id = "death_left_behind";
    let attempt = die(guest, id, &format!("{stays} exit 0"), grace)?;
    ensure_cause(&attempt, "success")?;
    let notes = attempt["evidence"]["notes"].to_string();
    ensure!(notes.contains("sleep"), "the child is not named: {attempt}");
    crate::bij::wait_for_state(guest, id, "failed")?;
    ensure_eq!(history(id)?.len(), 1, "attempts of a run that has succeeded");

    let id = "death_left_when_stopped";
    let script = format!("{stays} trap 'exit 0' TERM; echo I listen; while :; do sleep 0.1; done");
    define_script(id, &script, grace)?;
    render_all()?;
    systemctl("start", id)?.success()?;
    wait_for_line(guest, id, "I listen")?;
    systemctl("stop", id)?;
    let rows = wait_for_ended(guest, id, 1)?;
    ensure_cause(&rows[0], "stopped")?;
    Ok(Next::Done)
}

/// A launcher that leaves its work behind is a success, and says what became of the work.
fn of_work_in_the_background(guest: &Guest) -> Result<Next, Failure> {
    let id = "death_background";
    let script = "nohup sh -c 'sleep 600; true' >/dev/null 2>&1 & sleep 0.5";
    let attempt = die(guest, id, script, "")?;
    ensure_cause(&attempt, "success")?;
    let left = &attempt["evidence"]["left_behind"];
    ensure_eq!(left["count"], 2, "the processes that were left behind by {attempt}");
    let line = "2 processes were left behind and killed (sh, sleep)";
    wait_for_line(guest, id, line)?;
    run("bij", ["history", id])?.success()?.says(line)?;
    crate::bij::wait_for_state(guest, id, "inactive")?;
    // A stop that the processes follow leaves nothing behind.
    let id = "death_background_stopped";
    define_script(id, "sh -c 'sleep 600; true' & echo I listen; wait", "")?;
    render_all()?;
    systemctl("start", id)?.success()?;
    wait_for_line(guest, id, "I listen")?;
    systemctl("stop", id)?.success()?;
    let rows = wait_for_ended(guest, id, 1)?;
    ensure_cause(&rows[0], "stopped")?;
    ensure!(rows[0]["evidence"]["left_behind"].is_null(), "it was asked to stop: {}", rows[0]);
    Ok(Next::Done)
}

fn before_the_start(guest: &Guest) -> Result<Next, Failure> {
    let id = "death_unborn";
    crate::bij::define_command(id, &["/nonexistent/program"], ONCE)?;
    render_all()?;
    let started = systemctl("start", id)?;
    ensure!(!started.succeeded(), "a program that is not there was started");
    let rows = wait_for_ended(guest, id, 1)?;
    ensure_cause(&rows[0], "start-failed")?;
    wait_for_line(guest, id, "/nonexistent/program is not there")?;
    // Files that only the unit sees only the exec itself can miss.
    let id = "death_unborn_script";
    let script = "/opt/unborn_script";
    write(Path::new(script), "#!/tmp/nonexistent/interpreter\n")?;
    run("chmod", ["+x", script])?.success()?;
    crate::bij::define_command(id, &[script], ONCE)?;
    render_all()?;
    systemctl("start", id)?;
    let rows = wait_for_ended(guest, id, 1)?;
    ensure_cause(&rows[0], "start-failed")?;
    ensure_eq!(rows[0]["exit_code"], 203, "the exit status in {}", rows[0]);
    let reason = "cannot execute /opt/unborn_script: No such file";
    wait_for_line(guest, id, reason)?;
    let notes = rows[0]["evidence"]["notes"].to_string();
    ensure!(notes.contains(reason), "the launcher's words in {notes}");
    windows_line_ends(guest)
}

fn windows_line_ends(guest: &Guest) -> Result<Next, Failure> {
    let id = "death_unborn_windows";
    let script = "/opt/unborn_windows";
    write(Path::new(script), "#!/bin/sh\r\necho hi\r\n")?;
    run("chmod", ["+x", script])?.success()?;
    crate::bij::define_command(id, &[script], ONCE)?;
    let reason = "its interpreter /bin/sh\\r is not there";
    run("bij", ["check", id])?.code(101)?.says(reason)?;
    render_all()?;
    systemctl("start", id)?;
    let rows = wait_for_ended(guest, id, 1)?;
    ensure_cause(&rows[0], "start-failed")?;
    wait_for_line(guest, id, reason)?;
    let notes = rows[0]["evidence"]["notes"].to_string();
    ensure!(notes.contains("its interpreter /bin/sh"), "the reason in {notes}");
    Ok(Next::Done)
}

fn three_times_is_final(guest: &Guest) -> Result<Next, Failure> {
    let id = "death_thrice";
    let script = "echo \"told of $BIJ_CRASHES, last ${BIJ_LAST_CAUSE:-none}\"; exit 9";
    define_script(id, script, "[restart]\ndelay = \"100ms\"")?;
    render_all()?;
    systemctl("start", id)?;
    crate::bij::wait_for_state(guest, id, "failed")?;
    guest.wait_for("the third attempt to end", crate::bij::SOON, || {
        let rows = history(id)?;
        Ok((rows.len() == 3 && !rows[2]["ended"].is_null()).then_some(()))
    })?;
    let rows = history(id)?;
    crate::bij::ensure_causes(&rows, &["exit", "exit", "exit"])?;
    for (index, row) in rows.iter().enumerate() {
        ensure_eq!(row["attempt"], index + 1, "the number of {row}");
        ensure_eq!(row["run"], rows[0]["run"], "the run of {row}");
    }
    for line in ["told of 0, last none", "told of 1, last exit", "told of 2, last exit"] {
        wait_for_line(guest, id, line)?;
    }
    // What journald could not look up the unit of is found by `journalctl -u` all the same.
    for crash in ["; crash 1", "; crash 2", "; crash 3"] {
        wait_for_line(guest, id, crash)?;
    }
    let again = systemctl("start", id)?;
    ensure!(!again.succeeded(), "systemd started it a fourth time");
    sh("journalctl -u brain-experiment@death_thrice | grep 'Start request repeated too quickly'")?
        .success()?;
    ensure_eq!(history(id)?.len(), 3, "attempts after the start limit was hit");
    Ok(Next::Done)
}

/// systemd forgets the start in whose midst it read the definition; the ledger does not.
fn three_times_when_new(guest: &Guest) -> Result<Next, Failure> {
    let id = "death_thrice_new";
    define_script(id, "exit 9", "[restart]\ndelay = \"100ms\"")?;
    systemctl("start", id)?;
    crate::bij::wait_for_state(guest, id, "failed")?;
    guest.wait_for("the third attempt to end", crate::bij::SOON, || {
        let rows = history(id)?;
        let over = rows.last().is_some_and(|row| !row["ended"].is_null());
        Ok((rows.len() >= 3 && over).then_some(()))
    })?;
    crate::bij::wait_for_state(guest, id, "failed")?;
    crate::bij::ensure_causes(&history(id)?, &["exit", "exit", "exit"])?;
    Ok(Next::Done)
}

/// A traceback after a flood is in the journal and in the evidence; the evidence outlives the journal. Lines
/// that journald has dropped are told.
fn after_a_flood(guest: &Guest) -> Result<Next, Failure> {
    let id = "death_flood";
    start(id, FLOODS, ONCE)?;
    guest.wait_for("the end of the flood", Duration::from_secs(60), || {
        Ok((property(&unit(id), "ActiveState")? == "failed").then_some(()))
    })?;
    let attempt = only_attempt(guest, id)?;
    ensure_cause(&attempt, "exit")?;
    let kept = attempt["evidence"]["last_lines"].to_string();
    ensure!(kept.contains("the line that matters"), "the last lines in {attempt}");
    let shown = run("bij", ["logs", id, "--attempt", "1"])?.success()?;
    let lines = shown.stdout().lines().filter(|line| line.contains("step ")).count();
    let is_told = shown.stdout().contains("Suppressed");
    ensure!(lines == 200_000 || is_told, "{lines} of 200000 lines, and no word of the others");
    guest.tell(format!("{lines} of 200000 lines of a flood are in the journal"));
    shown.says("the line that matters")?;
    run("bij", ["status", id])?.success()?.says("the line that matters")?;
    sh("sleep 2; journalctl --rotate && journalctl --vacuum-time=1s")?.success()?;
    let left = run("bij", ["logs", id])?.success()?;
    left.says("journald has removed lines of attempt 1")?.says("the line that matters")?;
    run("bij", ["status", id])?.success()?.says("the line that matters")?;
    Ok(Next::Done)
}
