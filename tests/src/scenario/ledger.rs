//! No attempt and no crash is lost or counted twice, whatever happens while it is written down.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::Scenario;
use crate::bij::{
    SOON, define_script, ensure_causes, history, override_unit, render_all, status, systemctl,
    unit, wait_for_ended, wait_for_line, wait_for_state,
};
use crate::check::{Failure, ensure, ensure_eq};
use crate::command::{run, sh};
use crate::guest::{Guest, Next};
use crate::protocol::Lane;
use crate::queue::set_coordinator;
use crate::steps::{property, write};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new("ledger_survives_a_killed_end", Lane::ALL, survives_a_killed_end),
    Scenario::new("ledger_is_closed_without_a_hook", Lane::ALL, is_closed_without_a_hook),
    Scenario::new("ledger_survives_a_full_disk", Lane::CONTAINER, survives_a_full_disk),
    Scenario::new(
        "ledger_waits_for_a_locked_database",
        Lane::CONTAINER,
        waits_for_a_locked_database,
    ),
    Scenario::new("ledger_takes_many_ends_at_once", Lane::CONTAINER, takes_many_ends_at_once),
    Scenario::new("ledger_survives_a_clock_set_back", Lane::VM, survives_a_clock_set_back),
];

const ONCE: &str = "[restart]\nburst = 1\ndelay = \"100ms\"";

/// Dies in its first two attempts, ends well in its third.
const DIES_TWICE: &str = "[ \"$BIJ_ATTEMPT\" -le 2 ] && exit 9; exit 0";

fn survives_a_killed_end(guest: &Guest) -> Result<Next, Failure> {
    let id = "ledger_killed";
    // The hook is killed at a different moment of its work in every attempt: before, in, after.
    let killer = "/run/bij-lab-kill-end";
    write(
        Path::new(killer),
        "#!/bin/sh\n/usr/libexec/brain-in-jar/bij-hook end \"$1\" &\n\
         sleep \"0.00$(($(cat /proc/sys/kernel/random/uuid | tr -dc 0-9 | head -c1) % 10))\"\n\
         kill -KILL $!\nwait $!\n",
    )?;
    let script = "[ \"$BIJ_ATTEMPT\" -le 4 ] && exit 9; exec sleep 600";
    define_script(id, script, "[restart]\ndelay = \"100ms\"\nburst = 10")?;
    override_unit(id, &format!("[Service]\nExecStopPost=\nExecStopPost=-+/bin/sh {killer} %i\n"))?;
    systemctl("start", id)?;
    guest.wait_for("the fifth attempt", SOON, || {
        let rows = history(id)?;
        let state = property(&unit(id), "ActiveState")?;
        Ok((rows.len() == 5 && state == "active").then_some(()))
    })?;
    ensure_causes(&history(id)?, &["exit", "exit", "exit", "exit", "-"])?;
    ensure_eq!(status(id)?["crashes"], 4, "crashes whose `end` was killed");
    Ok(Next::Done)
}

/// The hook that tells of the end never runs, and nothing is started any more: the coordinator finds
/// out from what PID 1 has logged.
fn is_closed_without_a_hook(guest: &Guest) -> Result<Next, Failure> {
    let id = "ledger_hookless";
    define_script(id, "sleep 0.5; exit 9", ONCE)?;
    override_unit(id, "[Service]\nExecStopPost=\n")?;
    systemctl("start", id)?;
    guest.wait_for("the end in the ledger", SOON, || {
        let rows = history(id)?;
        let [row] = &rows[..] else { return Err(Failure::new(format!("{rows:?}"))) };
        Ok((row["cause"] == "exit").then_some(()))
    })?;
    let row = &history(id)?[0];
    ensure_eq!(row["exit_code"], 9, "its exit code");
    ensure_eq!(row["evidence"]["witness"], "journal", "who saw it end");
    let notes = row["evidence"]["notes"].to_string();
    ensure!(notes.contains("the coordinator closed it"), "its notes: {notes}");
    let output =
        sh(&format!("journalctl -b -o cat BIJ_EVENT=attempt-closed-late BIJ_EXPERIMENT={id}"))?;
    ensure!(output.stdout().contains("exit code 9"), "the journal: {}", output.stdout());
    Ok(Next::Done)
}

fn survives_a_full_disk(guest: &Guest) -> Result<Next, Failure> {
    let id = "ledger_full";
    let go = Path::new("/run/bij-lab-go");
    drop(fs::remove_file(go));
    sh("mount -t tmpfs -o size=8M,mode=0755 tmpfs /var/lib/brain-in-jar")?.success()?;
    let outcome = die_on_a_full_disk(guest, id, go);
    systemctl("stop", id)?;
    sh("umount --lazy /var/lib/brain-in-jar; rm -f /run/bij-lab-go")?;
    outcome.map(|()| Next::Done)
}

fn die_on_a_full_disk(guest: &Guest, id: &str, go: &Path) -> Result<(), Failure> {
    let script =
        format!("echo waiting; while [ ! -e {} ]; do sleep 0.1; done; exit 9", go.display());
    define_script(id, &script, ONCE)?;
    render_all()?;
    systemctl("start", id)?.success()?;
    wait_for_line(guest, id, "waiting")?;
    // dd ends with an error when the last byte is taken; that is what it is for.
    sh("dd if=/dev/zero of=/var/lib/brain-in-jar/filler bs=4k 2>/dev/null || true; \
        echo more >>/var/lib/brain-in-jar/filler 2>/dev/null || true")?;
    write(go, "")?;
    wait_for_state(guest, id, "failed")?;
    sh("rm /var/lib/brain-in-jar/filler")?.success()?;
    // The next opportunity: another start.
    systemctl("reset-failed", id)?;
    systemctl("start", id)?;
    let rows = wait_for_ended(guest, id, 2)?;
    ensure_causes(&rows, &["exit", "exit"])?;
    ensure_eq!(status(id)?["crashes"], 2, "crashes after the disk was full");
    Ok(())
}

fn waits_for_a_locked_database(guest: &Guest) -> Result<Next, Failure> {
    let id = "ledger_locked";
    define_script(id, "echo waiting; sleep 2; exit 9", ONCE)?;
    render_all()?;
    systemctl("start", id)?.success()?;
    wait_for_line(guest, id, "waiting")?;
    run(
        "systemd-run",
        [
            "--collect",
            "--unit=lab-locker",
            "python3",
            "-c",
            "import sqlite3, time\n\
             c = sqlite3.connect('/var/lib/brain-in-jar/state.db', timeout=30)\n\
             c.isolation_level = None\n\
             c.execute('BEGIN IMMEDIATE')\n\
             time.sleep(3)\n\
             c.execute('ROLLBACK')\n",
        ],
    )?
    .success()?;
    let rows = wait_for_ended(guest, id, 1)?;
    ensure_causes(&rows, &["exit"])?;
    ensure_eq!(rows[0]["exit_code"], 9, "the exit code in {}", rows[0]);
    ensure_eq!(status(id)?["crashes"], 1, "crashes while the database was locked");
    Ok(Next::Done)
}

fn takes_many_ends_at_once(guest: &Guest) -> Result<Next, Failure> {
    let go = Path::new("/run/bij-lab-go");
    drop(fs::remove_file(go));
    let ids: Vec<String> = (1..=6).map(|number| format!("ledger_many_{number}")).collect();
    let script =
        format!("echo waiting; while [ ! -e {} ]; do sleep 0.01; done; exit 9", go.display());
    for id in &ids {
        define_script(id, &script, ONCE)?;
    }
    render_all()?;
    set_coordinator("MAX_CONCURRENT_EXPERIMENTS=6\n")?;
    let units: Vec<String> = ids.iter().map(|id| unit(id)).collect();
    run("systemctl", ["start"].into_iter().chain(units.iter().map(String::as_str)))?.success()?;
    for id in &ids {
        let listed = run("bij", ["--json", "queue"])?;
        wait_for_line(guest, id, "waiting").map_err(|failure| failure.during(listed.stdout()))?;
    }
    write(go, "")?;
    for id in &ids {
        let rows = wait_for_ended(guest, id, 1)?;
        ensure_causes(&rows, &["exit"])?;
        ensure_eq!(status(id)?["crashes"], 1, "crashes of {id}");
    }
    fs::remove_file(go)?;
    Ok(Next::Done)
}

fn survives_a_clock_set_back(guest: &Guest) -> Result<Next, Failure> {
    let id = "ledger_clock";
    define_script(id, DIES_TWICE, "[restart]\ndelay = \"3s\"")?;
    systemctl("start", id)?;
    wait_for_ended(guest, id, 1)?;
    sh("date --set='1 hour ago'")?.success()?;
    let outcome = three_attempts(guest, id);
    sh("date --set='1 hour'")?.success()?;
    outcome.map(|()| Next::Done)
}

fn three_attempts(guest: &Guest, id: &str) -> Result<(), Failure> {
    let rows: Vec<Value> = wait_for_ended(guest, id, 3)?;
    ensure_causes(&rows, &["exit", "exit", "success"])?;
    let numbers: Vec<u64> = rows.iter().filter_map(|row| row["attempt"].as_u64()).collect();
    ensure!(numbers == [1, 2, 3], "the attempts are out of order: {numbers:?}");
    ensure_eq!(status(id)?["crashes"], 2, "crashes around a clock set back");
    Ok(())
}
