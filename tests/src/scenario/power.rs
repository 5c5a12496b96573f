//! One power mode for all: the coordinator in its sandbox has stand-ins for NVIDIA's tools switch a board
//! that is a tree.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::Scenario;
use super::board::{SETTINGS, instead_of_board};
use super::coordinator::{COORDINATOR, WAITS};
use crate::bij::{SOON, define_script, wait_for_state};
use crate::check::{Failure, ensure, ensure_eq};
use crate::command::{Output, run, sh};
use crate::guest::{Guest, Next};
use crate::protocol::Lane;
use crate::queue::{set_coordinator, why};
use crate::steps::{property, write};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    time_limit: Duration::from_secs(120),
    ..Scenario::new("power_modes_and_clocks_are_shared", Lane::CONTAINER, are_shared)
}];

/// Where the unit lets the coordinator write: what it may not do there, it may not do on a Jetson.
const BOARD: &str = "/var/lib/nvpmodel/bij-lab-board";

/// 0 and 2 are had live, 1 takes a reboot, and the kernel refuses a part of 3.
const CONF: &str = "\
< PARAM TYPE=FILE NAME=TPC_POWER_GATING >
TPC_PG_MASK /sys/devices/gpu.0/tpc_pg_mask
< PARAM TYPE=FILE NAME=CPU >
MAX_FREQ /sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq
< PARAM TYPE=FILE NAME=EMC >
MAX_FREQ /sys/kernel/nvpmodel_clk_cap/emc
< POWER_MODEL ID=0 NAME=MAXN >
TPC_POWER_GATING TPC_PG_MASK 0
CPU MAX_FREQ 2201600
< POWER_MODEL ID=1 NAME=MODE_15W >
TPC_POWER_GATING TPC_PG_MASK 248
< POWER_MODEL ID=2 NAME=MODE_30W >
TPC_POWER_GATING TPC_PG_MASK 0
CPU MAX_FREQ 1728000
< POWER_MODEL ID=3 NAME=MODE_50W >
EMC MAX_FREQ 2133000000
< PM_CONFIG DEFAULT=2 >
";

const LOWEST: &str = "sys/devices/system/cpu/cpu0/cpufreq/scaling_min_freq";
const STATUS: &str = "var/lib/nvpmodel/status";

fn are_shared(guest: &Guest) -> Result<Next, Failure> {
    set_up_board()?;
    instead_of_board(BOARD, "", || with_this_board(guest))
}

fn set_up_board() -> Result<(), Failure> {
    for (file, text) in [
        ("etc/nvpmodel.conf", CONF),
        (STATUS, "pmode:0002\n"),
        ("faults", "refuse /sys/kernel/nvpmodel_clk_cap/emc 16\n"),
        ("sys/devices/gpu.0/tpc_pg_mask", "0\n"),
        ("sys/devices/system/cpu/cpu0/online", "1\n"),
        ("sys/devices/system/cpu/cpu0/cpuidle/state0/disable", "0\n"),
        (LOWEST, "729600\n"),
        ("sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq", "1728000\n"),
        ("sys/class/devfreq/17000000.gpu/min_freq", "306000000\n"),
        ("sys/class/devfreq/17000000.gpu/max_freq", "1300500000\n"),
        ("sys/kernel/debug/bpmp/debug/clk/emc/mrq_rate_locked", "0\n"),
        ("sys/class/thermal/thermal_zone0/type", "tj-thermal\n"),
        ("sys/class/thermal/thermal_zone0/temp", "45000\n"),
        ("proc/meminfo", &fs::read_to_string("/proc/meminfo")?),
    ] {
        write(&Path::new(BOARD).join(file), text)?;
    }
    for (tool, script) in [
        ("usr/sbin/nvpmodel", include_str!("../../../crates/bij-jetson/tests/stand-ins/nvpmodel")),
        (
            "usr/bin/jetson_clocks",
            include_str!("../../../crates/bij-jetson/tests/stand-ins/jetson_clocks"),
        ),
    ] {
        let path = Path::new(BOARD).join(tool);
        write(&path, script)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

fn with_this_board(guest: &Guest) -> Result<Next, Failure> {
    write(Path::new(SETTINGS), "[power]\nrestore = true\n")?;
    sh(&format!("systemctl daemon-reload && systemctl restart {COORDINATOR}"))?.success()?;
    set_coordinator("MAX_CONCURRENT_EXPERIMENTS=8\n")?;
    sysfs_is_as_for_all()?;
    for (id, power) in [
        ("power_low", "mode = \"30W\""),
        ("power_top", "mode = \"MAXN\""),
        ("power_fast", "clocks = \"max\""),
        ("power_small", "mode = \"MODE_15W\""),
        ("power_broken", "mode = 3"),
    ] {
        define_script(id, WAITS, &format!("[power]\n{power}"))?;
    }
    modes_take_turns(guest)?;
    a_reboot_is_a_gate(guest)?;
    a_failure_is_nobody_elses(guest)?;
    let output = run("bij", ["--json", "events"])?.success()?;
    let events: Vec<Value> =
        output.stdout().lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    for (kind, by, text) in [
        ("clocks", None, "the clocks are held at their highest for power_fast#1"),
        ("clocks", None, "the clocks follow the load again"),
        ("power-mode", None, "the board is in power mode MAXN"),
        ("power-mode", Some("root"), "the next boot comes up in power mode MODE_15W"),
        ("power-mode", None, "cannot switch the board to power mode MODE_50W: the kernel"),
    ] {
        let is_it = |event: &Value| {
            event["kind"] == kind
                && event["by"].as_str() == by
                && event["text"].as_str().is_some_and(|found| found.starts_with(text))
        };
        ensure!(events.iter().any(is_it), "no event says {text:?}: {}", output.stdout());
    }
    Ok(Next::Done)
}

/// nvpmodel and `jetson_clocks` write to sysfs: the coordinator has the same as everybody.
fn sysfs_is_as_for_all() -> Result<(), Failure> {
    let pid = property(COORDINATOR, "MainPID")?;
    let mount = |pid: &str| -> Result<Vec<String>, Failure> {
        let table = fs::read_to_string(format!("/proc/{pid}/mountinfo"))?;
        // proc_pid_mountinfo(5): the fifth is the place, the sixth are its options.
        let lines = table.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let sys = lines.filter(|line| line.get(4) == Some(&"/sys"));
        Ok(sys.filter_map(|line| Some(line.get(5)?.split(',').next()?.to_owned())).collect())
    };
    ensure_eq!(mount(&pid)?, mount("1")?, "how /sys is mounted for the coordinator");
    Ok(())
}

fn modes_take_turns(guest: &Guest) -> Result<(), Failure> {
    submit("power_low")?;
    wait_for_state(guest, "power_low", "active")?;
    submit("power_top")?;
    waits_for_mode(guest, "power_top", "another is in force for power_low#1")?;
    submit("power_fast")?;
    wait_for_state(guest, "power_fast", "active")?;
    becomes(guest, LOWEST, "1728000")?;
    refuses(&["power", "set", "MAXN"], "power_low#1 is up and wants power mode MODE_30W")?;

    stop("power_low")?;
    wait_for_state(guest, "power_top", "active")?;
    ensure_eq!(text(STATUS)?, "pmode:0000", "the mode in force for power_top");
    // They were let go for the switch, and are wanted as before.
    becomes(guest, LOWEST, "2201600")?;

    sh(&format!("systemctl kill --kill-who=main -s KILL {COORDINATOR}"))?.success()?;
    stop("power_fast")?;
    becomes(guest, LOWEST, "729600")?;
    stop("power_top")?;
    becomes(guest, STATUS, "pmode:0002")
}

fn a_reboot_is_a_gate(guest: &Guest) -> Result<(), Failure> {
    submit("power_small")?;
    waits_for_mode(guest, "power_small", "it needs a reboot")?;
    refuses(&["power", "set", "15W"], "--allow-reboot-later")?;
    run("bij", ["power", "set", "15W", "--allow-reboot-later"])?.success()?;
    // At once, and not when the board is looked at the next time.
    let run = why("power_small")?;
    let gate = run["waiting_on"][0]["text"].as_str().unwrap_or_default().to_owned();
    ensure!(gate.contains("it comes with the next boot"), "power_small waits on {run}");
    ensure_eq!(text(STATUS)?, "pmode:0001", "the mode of the next boot");
    ensure!(!Path::new(BOARD).join("rebooted").exists(), "the board was rebooted");
    // What nvpmodel says by now is not in force.
    submit("power_low")?;
    wait_for_state(guest, "power_low", "active")?;
    stop("power_low")?;
    submit("power_top")?;
    wait_for_state(guest, "power_top", "active")?;
    ensure_eq!(text(STATUS)?, "pmode:0001", "the mode of the next boot after a switch");
    stop("power_top")
}

fn a_failure_is_nobody_elses(guest: &Guest) -> Result<(), Failure> {
    submit("power_broken")?;
    waits_for_mode(guest, "power_broken", "it could not be set: the kernel refused")?;
    submit("power_low")?;
    wait_for_state(guest, "power_low", "active")?;
    waits_for_mode(guest, "power_broken", "it could not be set: the kernel refused")
}

fn submit(id: &str) -> Result<(), Failure> {
    run("bij", ["submit", id])?.success().map(drop)
}

fn stop(id: &str) -> Result<(), Failure> {
    run("bij", ["stop", id])?.success().map(drop)
}

fn refuses(words: &[&str], text: &str) -> Result<(), Failure> {
    let said: Output = run("bij", words)?.code(1)?;
    ensure!(said.stderr().contains(text), "it says {:?} and not {text:?}", said.stderr());
    Ok(())
}

/// The text of a file of the board, without the end of its line.
fn text(file: &str) -> Result<String, Failure> {
    Ok(fs::read_to_string(Path::new(BOARD).join(file))?.trim().to_owned())
}

fn becomes(guest: &Guest, file: &str, wanted: &str) -> Result<(), Failure> {
    guest.wait_for(&format!("{wanted} in {file}"), SOON, || {
        let found = text(file)?;
        if found == wanted {
            return Ok(Some(()));
        }
        Err(Failure::new(format!("it is {found:?}")))
    })
}

fn waits_for_mode(guest: &Guest, id: &str, text: &str) -> Result<(), Failure> {
    guest.wait_for(&format!("{id} to wait, for {text:?}"), SOON, || {
        let run = why(id)?;
        let gate = &run["waiting_on"][0];
        if gate["gate"] == "power-mode" && gate["text"].as_str().is_some_and(|it| it.contains(text))
        {
            return Ok(Some(()));
        }
        Err(Failure::new(format!("it tells {run}")))
    })
}
