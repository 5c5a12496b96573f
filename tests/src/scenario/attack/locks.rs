//! Locks and the database: openable by their users only, while looking works for everyone.

use super::{as_stranger, create_attackers};
use crate::bij::{define_script, systemctl, wait_for_ended};
use crate::check::{Failure, ensure};
use crate::command::{run, sh};
use crate::guest::{Guest, Next};
use crate::protocol::Lane;
use crate::scenario::Scenario;

pub(in crate::scenario) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "attack_strangers_open_neither_locks_nor_database",
        Lane::CONTAINER,
        strangers_open_neither_locks_nor_database,
    ),
    Scenario::new("attack_strangers_look_through_the_coordinator", Lane::CONTAINER, strangers_look),
];

/// Files that a stranger could hold up root with if a stranger could open them.
const CLOSED: [&str; 5] = [
    "/run/brain-in-jar/coordinator.lock",
    "/run/brain-in-jar/render.lock",
    "/var/lib/brain-in-jar/state.db",
    "/var/lib/brain-in-jar/state.db-wal",
    "/var/lib/brain-in-jar/state.db-shm",
];

fn strangers_open_neither_locks_nor_database(guest: &Guest) -> Result<Next, Failure> {
    create_attackers()?;
    sh("systemctl start brain-experiment-coordinator")?.success()?;
    // A definition that is new is loaded under the lock for reloads.
    define_script("attack_locks", "true", "")?;
    systemctl("start", "attack_locks")?.success()?;
    wait_for_ended(guest, "attack_locks", 1)?;
    for path in CLOSED {
        run("test", ["-e", path])?.success()?;
        let opened = as_stranger(&format!("exec 3<{path}"))?;
        ensure!(!opened.succeeded(), "a stranger opened {path}");
    }
    let made = as_stranger("touch /run/brain-in-jar/mine /var/lib/brain-in-jar/mine")?;
    ensure!(!made.succeeded(), "a stranger made a file beside them");
    // A file that an older version left open to all is closed by the next open.
    sh("systemctl stop brain-experiment-coordinator
        chmod 0644 /var/lib/brain-in-jar/state.db* /run/brain-in-jar/*.lock
        chmod 0755 /var/lib/brain-in-jar /run/brain-in-jar
        systemctl start brain-experiment-coordinator")?
    .success()?;
    define_script("attack_locks", "sleep 0.1", "")?;
    systemctl("start", "attack_locks")?.success()?;
    wait_for_ended(guest, "attack_locks", 2)?;
    for path in CLOSED {
        let opened = as_stranger(&format!("exec 3<{path}"))?;
        ensure!(!opened.succeeded(), "a stranger opened {path}, which an older version had made");
    }
    Ok(Next::Done)
}

/// Looking needs the coordinator, and says so where there is none.
fn strangers_look(guest: &Guest) -> Result<Next, Failure> {
    create_attackers()?;
    sh("systemctl start brain-experiment-coordinator")?.success()?;
    define_script("attack_look", "exit 3", "[restart]\nburst = 1\n")?;
    systemctl("start", "attack_look")?;
    let own = wait_for_ended(guest, "attack_look", 1)?;
    let seen = as_stranger("bij --json history attack_look")?.success()?.json()?;
    // The board's figures of an attempt are added a moment after its end.
    let later = run("bij", ["--json", "history", "attack_look"])?.success()?.json()?;
    let is_the_same = seen == serde_json::Value::from(own) || seen == later;
    ensure!(is_the_same, "a stranger sees another history: {seen}");
    let row = as_stranger("bij --json status attack_look")?.success()?.json()?;
    ensure!(row.to_string().contains("crashes\":1"), "a stranger sees no crash: {row}");
    as_stranger("bij list")?.success()?.says("attack_look")?;
    as_stranger("bij board --minutes 3; bij queue; bij groups")?.success()?;
    as_stranger("bij --json events --since 0")?.success()?.says("attempt-ended")?;
    sh("systemctl stop brain-experiment-coordinator")?.success()?;
    let alone = as_stranger("bij history attack_look");
    let roots = run("bij", ["--json", "history", "attack_look"]);
    let listed = as_stranger("bij list");
    sh("systemctl start brain-experiment-coordinator")?.success()?;
    let alone = alone?;
    ensure!(!alone.succeeded(), "a stranger read the history past the coordinator");
    alone.says("systemctl start brain-experiment-coordinator")?.says("sudo")?;
    roots?.success()?.says("\"attempt\":1")?;
    listed?.success()?.says("attack_look")?;
    Ok(Next::Done)
}
