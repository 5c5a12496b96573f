//! `bij power` over a board with three modes, and a stand-in for nvpmodel that sets them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use bij_api::{Refusal, RefusalKind};
use bij_core::port::{Change, RunQueue as _};
use bij_core::queue::QueueState;

use super::absent::{leave, store};
use super::bij::Bij;
use super::model::Coordinator;

const CONF: &str = "< PARAM TYPE=FILE NAME=TPC >\nTPC_PG_MASK /sys/devices/gpu.0/tpc_pg_mask\n\
    < POWER_MODEL ID=0 NAME=MAXN >\nTPC TPC_PG_MASK 0\n\
    < POWER_MODEL ID=1 NAME=MODE_15W >\nTPC TPC_PG_MASK 248\n\
    < POWER_MODEL ID=3 NAME=MODE_50W >\nTPC TPC_PG_MASK 0\n\
    < PM_CONFIG DEFAULT=3 >\n";
const NVPMODEL: &str = "#!/bin/sh\nstatus=\"$(dirname \"$0\")/../../var/lib/nvpmodel/in-force\"\n\
    case $1 in\n\
    -q) echo 'NV Power Mode: X'; cat \"$status\" ;;\n\
    -m) echo \"$2\" >\"$status\"; echo \"pmode:000$2\" >\"$(dirname \"$status\")/status\" ;;\n\
    esac\n";

fn board() -> Bij {
    let bij = Bij::new();
    bij.write("etc/nvpmodel.conf", CONF);
    bij.write("sys/devices/gpu.0/tpc_pg_mask", "0\n");
    bij.write("var/lib/nvpmodel/in-force", "3\n");
    bij.write("var/lib/nvpmodel/status", "pmode:0003\n");
    let tool = bij.write("usr/sbin/nvpmodel", NVPMODEL);
    fs::set_permissions(tool, fs::Permissions::from_mode(0o755)).unwrap();
    bij
}

#[test]
fn the_modes_are_listed_with_the_need_for_a_reboot() {
    let bij = board();
    let result = bij.call(&["power"]);
    assert_eq!((result.code, result.err.as_str()), (0, ""));
    let lines: Vec<String> = result.out.lines().map(|line| line.trim().to_owned()).collect();
    assert_eq!(lines[1..], ["0  MAXN", "1  MODE_15W  needs a reboot", "3  MODE_50W  in force"]);
    let json = bij.call(&["--json", "power", "list"]).json();
    assert_eq!(json["power_modes"][1]["name"], "MODE_15W");
    assert_eq!(json["power_modes"][1]["needs_reboot"], true);
    assert_eq!(json["power_modes"][2]["in_force"], true);
}

#[test]
fn a_mode_is_switched_and_one_that_needs_a_reboot_at_the_next_boot_only() {
    let bij = board();
    let result = bij.call(&["power", "set", "maxn"]);
    assert_eq!(result.code, 0, "{result:?}");
    assert!(result.err.contains("The board is in power mode MAXN."), "{result:?}");
    assert!(bij.call(&["power", "set", "0"]).err.contains("was in power mode MAXN already"));
    let result = bij.call(&["power", "set", "15W"]);
    assert_eq!(result.code, 1, "{result:?}");
    assert!(result.err.contains("power mode 1 needs a reboot"), "{result:?}");
    assert!(result.err.contains("--allow-reboot-later"), "{result:?}");
    let result = bij.call(&["power", "set", "15W", "--allow-reboot-later"]);
    assert!(result.err.contains("The next boot comes up in power mode MODE_15W."), "{result:?}");
    let modes = bij.call(&["--json", "power"]).json();
    assert_eq!(modes["power_modes"][0]["in_force"], true, "nothing was rebooted");
    assert_eq!(modes["power_modes"][1]["at_next_boot"], true);
    assert!(bij.call(&["power"]).out.contains("at the next boot"));
}

#[test]
fn no_mode_is_in_force_that_would_need_a_reboot() {
    let bij = board();
    // nvpmodel and its file have the mode of the next boot; the mask is that of two other modes.
    bij.write("var/lib/nvpmodel/in-force", "1\n");
    bij.write("var/lib/nvpmodel/status", "pmode:0001\n");
    let modes = bij.call(&["--json", "power"]).json()["power_modes"].clone();
    for mode in modes.as_array().unwrap() {
        assert_eq!(mode["in_force"], false, "{mode}");
    }
    assert_eq!(
        (&modes[1]["at_next_boot"], &modes[1]["needs_reboot"]),
        (&true.into(), &true.into())
    );
    let result = bij.call(&["power"]);
    assert!(result.err.contains("The mode in force is not known: contradicted: "), "{result:?}");
    let result = bij.call(&["power", "set", "15W"]);
    assert!(result.err.contains("power mode 1 needs a reboot"), "{result:?}");
}

#[test]
fn an_unknown_mode_and_a_machine_without_modes_are_errors() {
    let result = board().call(&["power", "set", "TURBO"]);
    assert_eq!(result.code, 2, "{result:?}");
    let known = "there is no power mode TURBO; there are 0 MAXN, 1 MODE_15W, 3 MODE_50W";
    assert!(result.err.contains(known), "{result:?}");
    let result = Bij::new().call(&["power"]);
    assert_eq!(result.code, 105, "{result:?}");
    assert!(result.err.contains("this machine has no power modes"), "{result:?}");
}

#[test]
fn with_a_coordinator_bij_does_not_switch_the_board_itself() {
    let bij = board();
    let coordinator = Coordinator::start(&bij);
    let result = bij.call(&["power", "set", "maxn"]);
    assert_eq!((result.code, result.err.as_str()), (0, "The board is in power mode maxn.\n"));
    let result = bij.call(&["--json", "power", "set", "15W", "--allow-reboot-later"]);
    assert_eq!(result.json()["changed"], true);
    let asked = coordinator.model.state().requests.clone();
    assert_eq!(asked, ["power mode maxn", "power mode 15W, reboot later"]);
    let in_use = Refusal::new(RefusalKind::Impossible, "a#1 is up and wants power mode MODE_50W");
    coordinator.model.state().refuses = Some(in_use.remedy("stop it first: bij stop"));
    let result = bij.call(&["power", "set", "maxn"]);
    assert_eq!(result.code, 1, "{result:?}");
    assert!(result.err.contains("a#1 is up and wants power mode MODE_50W"), "{result:?}");
    assert!(result.err.contains("stop it first"), "{result:?}");
    let modes = bij.call(&["--json", "power"]).json();
    assert_eq!(modes["power_modes"][2]["in_force"], true, "bij itself has not touched the board");
}

#[test]
fn held_clocks_are_shown() {
    let bij = board();
    assert_eq!(bij.call(&["--json", "power"]).json()["clocks_held"], serde_json::Value::Null);
    for (file, text) in [
        ("system/cpu/online", "0\n"),
        ("system/cpu/cpu0/online", "1\n"),
        ("system/cpu/cpu0/cpufreq/scaling_min_freq", "2201600\n"),
        ("system/cpu/cpu0/cpufreq/scaling_max_freq", "2201600\n"),
    ] {
        bij.write(&format!("sys/devices/{file}"), text);
    }
    let held = bij.call(&["--json", "power"]).json();
    assert_eq!(held["clocks_held"], serde_json::Value::Null, "the GPU does not tell: {held}");
}

#[test]
fn without_a_coordinator_a_board_is_not_switched_under_a_run_that_is_up() {
    let bij = board();
    bij.define("x.toml", "command = [\"true\"]\npower.mode = 3\n");
    let mut store = store(&bij);
    let run = leave(&mut store, "x", 0, None);
    let state = QueueState::Running;
    let up = Change::State { run, from: None, state, why: "it was let start".to_owned() };
    store.change(&[up], "2026-11-23T22:01:00Z".parse().unwrap()).unwrap();
    let result = bij.call(&["power", "set", "maxn"]);
    assert_eq!(result.code, 1, "{result:?}");
    assert!(result.err.contains("x#1 is up and wants power mode MODE_50W"), "{result:?}");
    let result = bij.call(&["power", "set", "15W", "--allow-reboot-later"]);
    assert_eq!(result.code, 0, "a mode of the next boot disturbs no run: {result:?}");
}
