//! The coordinator among kills, power cuts, a full disk and managers that begin anew.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::Scenario;
use super::coordinator::{COORDINATOR, WAITS, attempts, ids};
use crate::bij::{SOON, define_script, ensure_causes, history, systemctl, unit, wait_for_state};
use crate::check::{Failure, ensure, ensure_eq};
use crate::command::{run, run_for, sh};
use crate::guest::{Guest, Next};
use crate::protocol::Lane;
use crate::queue::{queue, set_coordinator};
use crate::steps::property;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        time_limit: Duration::from_secs(420),
        ..Scenario::new("coordinator_outlives_kills", Lane::CONTAINER, outlives_kills)
    },
    Scenario {
        time_limit: Duration::from_secs(120),
        ..Scenario::new("coordinator_survives_its_managers", Lane::CONTAINER, survives_its_managers)
    },
    Scenario::new("coordinator_says_when_the_disk_is_full", Lane::CONTAINER, disk_is_full),
    Scenario {
        time_limit: Duration::from_secs(180),
        ..Scenario::new("coordinator_keeps_its_order", Lane::ONE_VM, keeps_its_order)
    },
];

/// Submissions go on while the coordinator is killed again and again: what was acknowledged ends, each
/// run once, crashes included, and what runs is not disturbed.
fn outlives_kills(guest: &Guest) -> Result<Next, Failure> {
    const KILLS: u64 = 200;
    const ENOUGH: usize = 150;
    set_coordinator("MAX_CONCURRENT_EXPERIMENTS=4\n")?;
    let id = "coordinator_kills";
    let ids = ids(id, 6);
    for id in &ids[1..] {
        define_script(id, "sleep 0.2", "")?;
    }
    define_script(&ids[0], "sleep 0.1; exit 9", "[restart]\nburst = 1\n")?;
    let bystander = "coordinator_bystander";
    define_script(bystander, WAITS, "")?;
    run("bij", ["submit", bystander])?.success()?;
    wait_for_state(guest, bystander, "active")?;
    let invocation = property(&unit(bystander), "InvocationID")?;
    let kills = thread::spawn(|| {
        let mut while_up = 0;
        for round in 0..KILLS {
            // Most are killed at work, every fourth one while it is still on its way up.
            let is_up = round % 4 != 0 && waits_until_up()?;
            while_up += u64::from(is_up);
            // Times that have nothing to do with one another.
            thread::sleep(Duration::from_millis(1 + round * 37 % 230));
            run("systemctl", ["kill", "--signal=KILL", COORDINATOR])?;
        }
        Ok::<_, Failure>(while_up)
    });
    let mut acknowledged: BTreeSet<(String, u64)> = BTreeSet::new();
    let mut n = 0;
    while !kills.is_finished() {
        // What is acknowledged must run to its end in the end.
        if acknowledged.len() >= ENOUGH {
            thread::sleep(Duration::from_millis(100));
            continue;
        }
        n += 1;
        let id = &ids[n % ids.len()];
        let output = run("bij", ["--json", "submit", id])?;
        // A refusal is an answer, too: nothing was promised.
        if output.succeeded() {
            let run = output.json()?[0]["run"].as_u64();
            let run = run.ok_or_else(|| output.unexpected("the run's number"))?;
            acknowledged.insert((id.clone(), run));
        }
    }
    let while_up = kills.join().map_err(|_| Failure::new("the killer has panicked"))??;
    ensure!(
        acknowledged.len() >= 100,
        "{} of {n} submissions were acknowledged",
        acknowledged.len()
    );
    guest.wait_for("an empty queue", Duration::from_secs(180), || {
        let queue = queue()?;
        match &queue[..] {
            [only] if only["experiment"] == bystander => Ok(Some(())),
            _ => Err(Failure::new(format!("{} are left, the first is {}", queue.len(), queue[0]))),
        }
    })?;
    ensure_eq!(
        property(&unit(bystander), "InvocationID")?,
        invocation,
        "the invocation of the bystander"
    );
    for (nth, id) in ids.iter().enumerate() {
        let cause = if nth == 0 { "exit" } else { "success" };
        let rows = history(id)?;
        for (_, number) in acknowledged.iter().filter(|(own, _)| own == id) {
            let of_run: Vec<&Value> = rows.iter().filter(|row| row["run"] == *number).collect();
            ensure_eq!(of_run.len(), 1, "attempts of {id}#{number}");
            ensure_eq!(of_run[0]["cause"], cause, "the end of {id}#{number}");
        }
    }
    let acknowledged = acknowledged.len();
    guest.tell(format!(
        "{KILLS} kills, {while_up} of them at work; {acknowledged} runs acknowledged"
    ));
    Ok(Next::Done)
}

/// Waits until the coordinator says that it is up; not for ever: where it is never, the kills go on.
fn waits_until_up() -> Result<bool, Failure> {
    for _ in 0..100 {
        if property(COORDINATOR, "ActiveState")? == "active" {
            return Ok(true);
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(false)
}

/// Four run and twenty wait when the power fails: afterwards the four go on, and the twenty wait in
/// the order in which they did.
fn keeps_its_order(guest: &Guest) -> Result<Next, Failure> {
    let (up, waiting) = (ids("coordinator_up", 4), ids("coordinator_waits", 20));
    let priority = |nth: usize| nth * 7 % 3;
    if guest.phase() == 0 {
        set_coordinator("MAX_CONCURRENT_EXPERIMENTS=4\n")?;
        for id in up.iter().chain(&waiting) {
            define_script(id, WAITS, "")?;
        }
        // Who writes a definition has it on the disk long before the power fails.
        sh("sync")?.success()?;
        // What goes on after a reboot goes before all others of its priority, but not before higher ones.
        let submit = ["submit", "--priority", "2"].into_iter();
        run("bij", submit.chain(up.iter().map(String::as_str)))?.success()?;
        for id in &up {
            wait_for_state(guest, id, "active")?;
        }
        for (nth, id) in waiting.iter().enumerate() {
            run("bij", ["submit", "--priority", &priority(nth).to_string(), id])?.success()?;
        }
        return Ok(Next::PowerCut);
    }
    for id in &up {
        wait_for_state(guest, id, "active")?;
    }
    for id in &up {
        let rows = history(id)?;
        ensure_causes(&rows, &["power-loss", "-"])?;
        ensure_eq!(rows[1]["run"], rows[0]["run"], "the run of {id} after the power cut");
    }
    let mut expected: Vec<(usize, &String)> = waiting.iter().enumerate().collect();
    expected.sort_by_key(|(nth, _)| (std::cmp::Reverse(priority(*nth)), *nth));
    let expected: Vec<&str> = expected.into_iter().map(|(_, id)| id.as_str()).collect();
    let queue = queue()?;
    let waits = |row: &&Value| row["state"] == "waiting";
    let found: Vec<&str> =
        queue.iter().filter(waits).filter_map(|row| row["experiment"].as_str()).collect();
    ensure_eq!(found, expected, "the order after the power cut");
    ensure_eq!(attempts(&waiting)?.len(), 0, "attempts of those that wait");
    Ok(Next::Done)
}

/// systemd is executed anew, reloads without end, and the bus restarts: within ten seconds everything
/// works as before.
fn survives_its_managers(guest: &Guest) -> Result<Next, Failure> {
    set_coordinator("MAX_CONCURRENT_EXPERIMENTS=1\n")?;
    let disturbances = [
        ("reexec", "systemctl daemon-reexec"),
        ("reload", "for i in $(seq 20); do systemctl daemon-reload; done"),
        ("dbus", "systemctl restart dbus.service"),
    ];
    for (name, disturbance) in disturbances {
        let (first, second) = (format!("coordinator_{name}_1"), format!("coordinator_{name}_2"));
        define_script(&first, WAITS, "")?;
        define_script(&second, WAITS, "")?;
        run("bij", ["submit", &first])?.success()?;
        wait_for_state(guest, &first, "active")?;
        run("bij", ["submit", &second])?.success()?;
        let invocation = property(&unit(&first), "InvocationID")?;
        run_for(guest.patience(Duration::from_secs(40)), "sh", ["-c", disturbance])?.success()?;
        guest.wait_for("an answer of systemd", Duration::from_secs(10), || {
            let found = property(&unit(&first), "InvocationID")?;
            ensure_eq!(found, invocation, "the invocation that was disturbed by {name}");
            Ok(Some(()))
        })?;
        // By systemd alone: the coordinator has to hear of it.
        guest.wait_for("a stop", Duration::from_secs(10), || {
            Ok(systemctl("stop", &first)?.succeeded().then_some(()))
        })?;
        guest.wait_for(&format!("the next after {name}"), Duration::from_secs(10), || {
            Ok((property(&unit(&second), "ActiveState")? == "active").then_some(()))
        })?;
        systemctl("stop", &second)?.success()?;
    }
    let (bus, path) = ("org.braininjar.Coordinator1", "/org/braininjar/Coordinator1");
    guest.wait_for("it on the bus again", Duration::from_secs(10), || {
        Ok(run("busctl", ["call", bus, path, bus, "Status"])?.succeeded().then_some(()))
    })?;
    ensure_eq!(property(COORDINATOR, "NRestarts")?, "0", "restarts of the coordinator");
    Ok(Next::Done)
}

/// On a file system of its own that is full, a submission is refused with words; what runs runs on.
fn disk_is_full(guest: &Guest) -> Result<Next, Failure> {
    let id = "coordinator_full";
    define_script(id, WAITS, "")?;
    sh("systemctl stop brain-experiment-coordinator
        mount -t tmpfs -o size=4m,mode=0755 none /var/lib/brain-in-jar
        systemctl start brain-experiment-coordinator")?
    .success()?;
    let result = full_and_empty_again(guest, id);
    sh("systemctl stop 'brain-experiment@*.service' brain-experiment-coordinator
        umount -l /var/lib/brain-in-jar
        systemctl start brain-experiment-coordinator")?
    .success()?;
    result
}

fn full_and_empty_again(guest: &Guest, id: &str) -> Result<Next, Failure> {
    run("bij", ["submit", id])?.success()?;
    wait_for_state(guest, id, "active")?;
    sh("head -c 8M /dev/zero >/var/lib/brain-in-jar/ballast")?;
    // The database has a little room in its own pages.
    let refused = guest.wait_for("a refusal", SOON, || {
        let output = run("bij", ["submit", "--hold", id])?;
        Ok((!output.succeeded()).then_some(output))
    })?;
    refused.says("room")?;
    ensure_eq!(property(COORDINATOR, "ActiveState")?, "active", "the coordinator");
    ensure_eq!(property(&unit(id), "ActiveState")?, "active", "what ran before");
    let before = queue()?.len();
    sh("rm /var/lib/brain-in-jar/ballast")?.success()?;
    guest.wait_for("room again", SOON, || {
        Ok(run("bij", ["submit", "--hold", id])?.succeeded().then_some(()))
    })?;
    ensure_eq!(queue()?.len(), before + 1, "what is queued after all");
    Ok(Next::Done)
}
