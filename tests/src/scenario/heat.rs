//! A board that grows hot: the coordinator reads a tree of its own, whose temperatures are set here.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Scenario;
use super::board::instead_of_board;
use super::coordinator::{COORDINATOR, ids};
use crate::bij::{SOON, define_script, history, wait_for_state};
use crate::check::{Failure, ensure, ensure_eq};
use crate::command::{run, sh};
use crate::guest::{Guest, Next};
use crate::protocol::Lane;
use crate::queue::{queue, set_coordinator, why};
use crate::steps::{property, write};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        time_limit: Duration::from_secs(300),
        ..Scenario::new("heat_ends_all_in_time", Lane::ALL, ends_all_in_time)
    },
    Scenario::new("heat_slows_the_gpu_down", Lane::CONTAINER, slows_the_gpu_down),
];

/// The machine as the coordinator sees it.
const BOARD: &str = "/run/bij-lab-board";
/// Outside of the lab a board's files lie in /sys, which it may write to.
const MAY_WRITE: &str = "ReadWritePaths=/run/bij-lab-board\n";

/// The time within which a critically hot board ends all experiments.
const ALL_END: Duration = Duration::from_secs(10);

/// When it is told to leave, it writes a checkpoint: into space that it has, because the disk may be full,
/// and by itself, because systemd signals whatever it starts just then as well.
const SAVES: &str = "
    printf empty >\"$BIJ_STATE_DIR/checkpoint\"
    trap 'printf saved 1<>\"$BIJ_STATE_DIR/checkpoint\"; exit 75' TERM
    echo up
    while :; do sleep 0.1; done";

/// It does not leave by itself.
const STAYS: &str = "trap '' TERM; echo up; while :; do sleep 0.1; done";

fn ends_all_in_time(guest: &Guest) -> Result<Next, Failure> {
    make_board()?;
    instead_of_board(BOARD, MAY_WRITE, || {
        sh(&format!(
            "systemctl stop {COORDINATOR}
             mount -t tmpfs -o size=16m,mode=0755 none /var/lib/brain-in-jar
             systemctl start {COORDINATOR}"
        ))?
        .success()?;
        let result = with_this_board(guest);
        sh(&format!(
            "systemctl stop 'brain-experiment@*.service' {COORDINATOR}
             umount -l /var/lib/brain-in-jar"
        ))?
        .success()?;
        result
    })
}

/// A board at 45 degrees that is a Jetson, and what the coordinator takes for the machine.
fn make_board() -> Result<(), Failure> {
    set_temperature(45)?;
    for (file, text) in [("type", "tj-thermal\n"), ("policy", "step_wise\n")] {
        write(&Path::new(BOARD).join("sys/class/thermal/thermal_zone0").join(file), text)?;
    }
    sh(&format!(
        "mkdir -p {BOARD}/proc/device-tree && cp /proc/meminfo {BOARD}/proc/
         printf 'nvidia,p3701-0005\\0nvidia,tegra234\\0' >{BOARD}/proc/device-tree/compatible"
    ))?
    .success()?;
    Ok(())
}

fn with_this_board(guest: &Guest) -> Result<Next, Failure> {
    begin_anew(guest)?;
    set_coordinator("MAX_CONCURRENT_EXPERIMENTS=4\n")?;
    let ids = ids("heat_all", 4);
    for id in &ids[..3] {
        define_script(id, SAVES, "")?;
    }
    define_script(&ids[3], STAYS, "")?;
    run("bij", ["submit"].into_iter().chain(ids.iter().map(String::as_str)))?.success()?;
    jump(guest, &ids, "where all is well")?;
    for id in &ids {
        ensure_cause(guest, id, 1)?;
    }
    ensure_eq!(why(&ids[0])?["waiting_on"][0]["gate"], "heat", "what {} waits on", ids[0]);
    let events = run("bij", ["--json", "events"])?.success()?;
    ensure!(events.stdout().contains("\"kind\":\"heat\""), "no event tells:\n{}", events.stdout());

    cool_down(guest, &ids)?;
    let locker = [
        "--collect",
        "--unit=bij-lab-locker",
        "python3",
        "-c",
        "import sqlite3, time\n\
         c = sqlite3.connect('/var/lib/brain-in-jar/state.db', timeout=30)\n\
         c.isolation_level = None\n\
         c.execute('BEGIN IMMEDIATE')\n\
         print('locked', flush=True)\n\
         time.sleep(3600)\n",
    ];
    run("systemd-run", locker)?.success()?;
    guest.wait_for("the lock", SOON, || {
        let said = sh("journalctl -b -o cat -u bij-lab-locker")?;
        Ok(said.stdout().contains("locked").then_some(()))
    })?;
    let jumped = jump(guest, &ids, "with the database locked");
    sh("systemctl stop bij-lab-locker")?.success()?;
    jumped?;

    cool_down(guest, &ids)?;
    sh("head -c 1G /dev/zero >/var/lib/brain-in-jar/ballast")?;
    let jumped = jump(guest, &ids, "with the disk full");
    sh("rm /var/lib/brain-in-jar/ballast")?.success()?;
    jumped?;
    for id in &ids {
        ensure_cause(guest, id, 3)?;
    }
    Ok(Next::Done)
}

/// From 45 to 90 degrees at once, while all of them are up: within ten seconds none is, and those that
/// can have written a checkpoint.
fn jump(guest: &Guest, ids: &[String], how: &str) -> Result<(), Failure> {
    for id in ids {
        wait_for_state(guest, id, "active")?;
    }
    guest.wait_for("all of them at work", SOON, || {
        let at_work = ids[..3].iter().all(|id| checkpoint(id) == "empty");
        Ok(at_work.then_some(()))
    })?;
    set_temperature(90)?;
    let begun = Instant::now();
    guest.wait_for("the end of all", SOON, || {
        // Their hooks may still wait for the database then.
        let pids = sh("systemctl show --value --property MainPID 'brain-experiment@heat_all_*'")?;
        let is_process = |line: &&str| !matches!(line.trim(), "" | "0");
        let alive = pids.stdout().lines().filter(is_process).count();
        if alive == 0 {
            return Ok(Some(()));
        }
        Err(Failure::new(format!("{alive} live")))
    })?;
    let took = begun.elapsed();
    guest.tell(format!("from 90 degrees to the end of all, {how}: {took:.1?}"));
    ensure!(took <= guest.patience(ALL_END), "it took {took:?} {how}");
    if took > ALL_END {
        // Experiments get their stop signal too late there to write anything before they are killed.
        guest
            .tell(format!("{how}: an emulated machine too slow for the coordinator's time limits"));
        return Ok(());
    }
    for id in &ids[..3] {
        ensure_eq!(checkpoint(id), "saved", "the checkpoint of {id}");
    }
    Ok(())
}

fn checkpoint(id: &str) -> String {
    let path = format!("/var/lib/brain-in-jar/experiments/{id}/checkpoint");
    fs::read_to_string(path).unwrap_or_default()
}

/// The ledger tells of so many attempts, all of which heat has ended.
fn ensure_cause(guest: &Guest, id: &str, attempts: usize) -> Result<(), Failure> {
    guest.wait_for(&format!("{attempts} ends of {id} by heat"), SOON, || {
        let rows = history(id)?;
        let by_heat = rows.iter().filter(|row| row["cause"] == "heat" && row["run"] == 1).count();
        if by_heat == attempts && rows.len() == attempts {
            return Ok(Some(()));
        }
        Err(Failure::new(format!("the ledger has {}", Value::from(rows))))
    })
}

/// It is cool again, and the runs go on. A coordinator waits for a while before it believes that; one
/// that has just begun has seen nothing else.
fn cool_down(guest: &Guest, ids: &[String]) -> Result<(), Failure> {
    set_temperature(45)?;
    begin_anew(guest)?;
    for id in ids {
        wait_for_state(guest, id, "active")?;
    }
    ensure_eq!(queue()?.len(), ids.len(), "runs after it has cooled down");
    Ok(())
}

fn begin_anew(guest: &Guest) -> Result<(), Failure> {
    sh(&format!("systemctl daemon-reload && systemctl restart {COORDINATOR}"))?.success()?;
    guest.wait_for("the coordinator", SOON, || {
        Ok((property(COORDINATOR, "ActiveState")? == "active").then_some(()))
    })
}

fn set_temperature(degrees: u32) -> Result<(), Failure> {
    let zone = Path::new(BOARD).join("sys/class/thermal/thermal_zone0");
    write(&zone.join("temp.new"), &format!("{degrees}000\n"))?;
    Ok(fs::rename(zone.join("temp.new"), zone.join("temp"))?)
}

const GPU: &str = "sys/class/devfreq/17000000.gpu";
/// What the GPU has by itself, and what a power mode gives it.
const TOP: u64 = 1_300_500_000;
const MODE: u64 = 1_020_000_000;

/// It is put back by the coordinator that finds it, and what somebody else has set stays.
fn slows_the_gpu_down(guest: &Guest) -> Result<Next, Failure> {
    make_board()?;
    let rates = "306000000 408000000 510000000 612000000 714000000 816000000 918000000 1020000000 \
                 1122000000 1224000000 1300500000\n";
    write(&Path::new(BOARD).join(GPU).join("available_frequencies"), rates)?;
    set_gpu_clock(TOP)?;
    instead_of_board(BOARD, MAY_WRITE, || with_this_gpu(guest))
}

fn with_this_gpu(guest: &Guest) -> Result<Next, Failure> {
    begin_anew(guest)?;
    let id = "heat_gpu";
    define_script(id, "echo up; while :; do sleep 0.1; done", "[gpu]\naccess = true\n")?;
    run("bij", ["submit", id])?.success()?;
    wait_for_state(guest, id, "active")?;
    set_temperature(76)?;
    wait_for_gpu_clock(guest, "below its own", |clock| clock < TOP)?;
    ensure!(held().contains("\"before\":1300500000"), "what is noted: {}", held());

    set_gpu_clock(MODE)?;
    wait_for_gpu_clock(guest, "below that of the new mode", |clock| clock < MODE)?;
    sh(&format!("systemctl kill --signal KILL --kill-who main {COORDINATOR}"))?.success()?;
    guest.wait_for("the next coordinator", SOON, || {
        Ok((property(COORDINATOR, "ActiveState")? == "active").then_some(()))
    })?;
    ensure!(held().contains("\"before\":1020000000"), "what the next one finds: {}", held());
    let clock = gpu_clock()?;
    ensure!(clock < MODE, "a coordinator that is killed leaves it as it is, and not at {clock}");
    sh(&format!("systemctl stop {COORDINATOR}"))?.success()?;
    ensure_eq!(gpu_clock()?, MODE, "the clock when nobody is left to put it back");
    ensure_eq!(held(), "", "what is noted then");

    // Nothing is known of it any more, and it is cool.
    set_temperature(45)?;
    begin_anew(guest)?;
    ensure_eq!(gpu_clock()?, MODE, "the clock of a cool board");
    Ok(Next::Done)
}

/// What a coordinator finds of the one before it.
fn held() -> String {
    fs::read_to_string("/run/brain-in-jar/heat.json").unwrap_or_default()
}

fn gpu_clock() -> Result<u64, Failure> {
    let text = fs::read_to_string(Path::new(BOARD).join(GPU).join("max_freq"))?;
    // The file of a real board is no longer than what was written to it last.
    let first = text.lines().next().unwrap_or_default();
    first.parse().map_err(|_| Failure::new(format!("{text:?} is no clock")))
}

fn set_gpu_clock(hertz: u64) -> Result<(), Failure> {
    write(&Path::new(BOARD).join(GPU).join("max_freq"), &format!("{hertz}\n"))
}

fn wait_for_gpu_clock(
    guest: &Guest,
    what: &str,
    is_so: impl Fn(u64) -> bool,
) -> Result<(), Failure> {
    guest.wait_for(&format!("a clock of the GPU {what}"), SOON, || {
        let clock = gpu_clock()?;
        if is_so(clock) {
            return Ok(Some(()));
        }
        Err(Failure::new(format!("it is {clock}")))
    })
}
