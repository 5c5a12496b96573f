//! The database is removed, replaced or turned into garbage: nothing acknowledged is lost in silence,
//! and no start passes its gates.

use std::time::Duration;

use crate::bij::{SOON, define_script, systemctl, unit, wait_for_state};
use crate::check::{Failure, ensure, ensure_eq};
use crate::command::{Output, run, sh};
use crate::guest::{Guest, Next};
use crate::protocol::Lane;
use crate::queue::queue;
use crate::scenario::Scenario;
use crate::steps::property;

pub(in crate::scenario) const SCENARIOS: &[Scenario] = &[
    Scenario {
        time_limit: Duration::from_secs(120),
        ..Scenario::new(
            "attack_replaced_database_is_noticed",
            Lane::CONTAINER,
            replaced_database_is_noticed,
        )
    },
    Scenario {
        time_limit: Duration::from_secs(120),
        ..Scenario::new(
            "attack_garbage_database_gates_starts",
            Lane::CONTAINER,
            garbage_database_gates_starts,
        )
    },
];

const COORDINATOR: &str = "brain-experiment-coordinator.service";
const DATABASE: &str = "/var/lib/brain-in-jar/state.db";

fn submit(id: &str) -> Result<Output, Failure> {
    run("bij", ["submit", id])
}

fn is_queued(id: &str) -> Result<bool, Failure> {
    Ok(queue()?.iter().any(|row| row["experiment"] == id))
}

fn kill_coordinator(guest: &Guest) -> Result<(), Failure> {
    let before = property(COORDINATOR, "MainPID")?;
    // In a container of cgroup v1 it says that it cannot, and does.
    run("systemctl", ["kill", "--signal=KILL", COORDINATOR])?;
    guest.wait_for("the coordinator's return", SOON, || {
        let is_back = property(COORDINATOR, "ActiveState")? == "active"
            && property(COORDINATOR, "MainPID")? != before;
        Ok(is_back.then_some(()))
    })
}

fn replaced_database_is_noticed(guest: &Guest) -> Result<Next, Failure> {
    let before = ["attack_db_old", "attack_db_late", "attack_db_gone", "attack_db_new"];
    for id in before {
        define_script(id, "true", "")?;
    }
    run("bij", ["pause"])?.success()?;
    let result = with_replacements(guest, before);
    run("bij", ["resume"])?;
    result
}

fn with_replacements(guest: &Guest, ids: [&str; 4]) -> Result<Next, Failure> {
    let [old, late, gone, new] = ids;
    submit(old)?.success()?;
    let whole = contents(DATABASE)?;
    sh(&format!(
        "python3 -c 'import sqlite3
a = sqlite3.connect(\"{DATABASE}\"); b = sqlite3.connect(\"{DATABASE}.backup\")
a.backup(b); b.close()'"
    ))?
    .success()?;
    submit(late)?.success()?;
    // Gone: nothing is acknowledged.
    sh(&format!("mv {DATABASE} {DATABASE}.aside"))?.success()?;
    let refused = submit(gone)?;
    ensure!(!refused.succeeded(), "a submission was acknowledged without a database");
    refused.says("state.db")?;
    guest.wait_for("the coordinator to say so", SOON, || {
        Ok(property(COORDINATOR, "StatusText")?.contains("state.db").then_some(()))
    })?;
    // Put back as it was: nothing is lost.
    sh(&format!("mv {DATABASE}.aside {DATABASE}"))?.success()?;
    guest.wait_for("the database to be taken up again", SOON, || {
        Ok(submit(gone)?.succeeded().then_some(()))
    })?;
    kill_coordinator(guest)?;
    for id in [old, late, gone] {
        ensure!(is_queued(id)?, "{id} was acknowledged and is not in the queue");
    }
    // A backup in its place, with the log of the other one left behind: what it does not have is told.
    sh(&format!("mv {DATABASE} {DATABASE}.aside; mv {DATABASE}.backup {DATABASE}"))?.success()?;
    guest.wait_for("the backup to be taken up", SOON, || {
        Ok(submit(new)?.succeeded().then_some(()))
    })?;
    kill_coordinator(guest)?;
    ensure!(is_queued(old)? && is_queued(new)?, "the backup was not taken up: {:?}", queue()?);
    ensure!(!is_queued(late)? && !is_queued(gone)?, "runs of the other database: {:?}", queue()?);
    let journal = run("journalctl", ["-b", "-o", "cat", "--no-pager", "-u", COORDINATOR])?;
    for id in [late, gone] {
        ensure!(journal.stdout().contains(&format!("{id}#1")), "nothing tells that {id}#1 is lost");
    }
    // And the other one is as whole as it was, without its log: its last runs are in it.
    let aside = contents(&format!("{DATABASE}.aside"))?;
    ensure_eq!(aside.lines().next(), whole.lines().next(), "what SQLite finds wrong with it");
    ensure!(aside.contains(gone), "its last runs are not in it: {aside}");
    Ok(Next::Done)
}

/// What the machine's own SQLite finds wrong with a database, and the experiments in it. One that is too old
/// for its tables (before 3.37, "STRICT Tables") says nothing, and the names are looked for in the file.
fn contents(database: &str) -> Result<String, Failure> {
    let output = sh(&format!(
        "python3 -c 'import re, sqlite3
if sqlite3.sqlite_version_info < (3, 37):
    print(\"not looked at\")
    print(set(re.findall(rb\"attack_db_[a-z]+\", open(\"{database}\", \"rb\").read())))
else:
    c = sqlite3.connect(\"{database}\")
    print(c.execute(\"PRAGMA integrity_check\").fetchone()[0])
    print([r[0] for r in c.execute(\"select name from experiments\")])'"
    ))?
    .success()?;
    Ok(output.stdout().to_owned())
}

/// Starts are held while the database is garbage, with the reason, and begin when it is well.
fn garbage_database_gates_starts(guest: &Guest) -> Result<Next, Failure> {
    let id = "attack_garbage";
    define_script(id, "exec sleep 600", "")?;
    run("systemctl", ["daemon-reload"])?.success()?;
    sh(&format!(
        "systemctl stop {COORDINATOR}
         mkdir -p /run/attack-db; mv {DATABASE} {DATABASE}-* /run/attack-db/ 2>/dev/null || true
         head -c 65536 /dev/urandom > {DATABASE}
         systemctl start --no-block {COORDINATOR}"
    ))?
    .success()?;
    let held = while_garbage(guest, id);
    sh(&format!(
        "systemctl stop {COORDINATOR}
         rm -f {DATABASE} {DATABASE}-*
         mv /run/attack-db/* {}
         systemctl start {COORDINATOR}",
        "/var/lib/brain-in-jar/"
    ))?
    .success()?;
    held?;
    wait_for_state(guest, id, "active")?;
    Ok(Next::Done)
}

fn while_garbage(guest: &Guest, id: &str) -> Result<(), Failure> {
    guest.wait_for("the coordinator to say what is wrong", SOON, || {
        Ok(property(COORDINATOR, "StatusText")?.contains("state.db").then_some(()))
    })?;
    systemctl("start", id)?;
    ensure_eq!(property(&unit(id), "ActiveState")?, "inactive", "the one that waits for its gates");
    let journal = run("journalctl", ["-b", "-o", "cat", "--no-pager", "-u", &unit(id)])?;
    journal.says("state database")?;
    kill_coordinator(guest)?;
    systemctl("start", id)?;
    ensure_eq!(property(&unit(id), "ActiveState")?, "inactive", "the same after a kill");
    Ok(())
}
