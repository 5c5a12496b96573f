use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use bij_coordinator::policy::PowerModesUnknown;
use bij_core::RunId;

use super::*;

const CONF: &str = "< POWER_MODEL ID=0 NAME=MAXN >\n< POWER_MODEL ID=2 NAME=MODE_30W >\n\
                    < PM_CONFIG DEFAULT=2 >\n";
/// A tool that sets every mode but 7.
const NVPMODEL: &str = "#!/bin/sh\nstatus=\"$(dirname \"$0\")/../../var/lib/nvpmodel/status\"\n\
     case $1 in\n\
     -q) echo 'NV Power Mode: X'; sed 's/pmode:0*\\([0-9]\\)/\\1/' \"$status\" ;;\n\
     -m) echo \"pmode:000$2\" >\"$status\" ;;\n\
     esac\n";

fn put(tree: &Path, path: &str, text: &str) -> std::path::PathBuf {
    let path = tree.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path
}

/// Returns the tools of a board as a starting coordinator finds them.
fn tools(tree: &Path) -> PowerTools {
    let runtime = tree.join("run");
    fs::create_dir_all(&runtime).unwrap();
    PowerTools::new(PowerControl::below(tree, &runtime), runtime.join("before"))
}

fn board() -> (tempfile::TempDir, PowerTools) {
    let tree = tempfile::tempdir().unwrap();
    put(tree.path(), "etc/nvpmodel.conf", CONF);
    put(tree.path(), "var/lib/nvpmodel/status", "pmode:0002\n");
    let tool = put(tree.path(), "usr/sbin/nvpmodel", NVPMODEL);
    fs::set_permissions(tool, fs::Permissions::from_mode(0o755)).unwrap();
    let tools = tools(tree.path());
    (tree, tools)
}

#[tokio::test]
async fn the_previous_mode_is_stored_until_the_board_is_back_in_it() {
    let (_tree, mut tools) = board();
    let seen = tools.read_modes().await;
    assert_eq!((seen.current, seen.before, seen.offered.len()), (Some(2), None, 2));
    let text = tools.switch(0, seen.current).await;
    assert_eq!(text, "the board is in power mode MAXN");
    let seen = tools.read_modes().await;
    assert_eq!((seen.current, seen.before), (Some(0), Some(2)));
    tools.switch(2, seen.current).await;
    let seen = tools.read_modes().await;
    assert_eq!((seen.current, seen.before, seen.failed.len()), (Some(2), None, 0));
}

#[tokio::test]
async fn no_mode_is_restored_after_one_that_was_set_by_hand() {
    let (_tree, mut tools) = board();
    tools.switch(0, Some(2)).await;
    assert_eq!(tools.read_modes().await.before, Some(2));
    let mode = tools.find("30W").await.unwrap();
    let set = tools.set(mode, false).await.unwrap();
    assert_eq!(set.to_string(), "the board is in power mode MODE_30W");
    let seen = tools.read_modes().await;
    assert_eq!((seen.current, seen.before), (Some(2), None));
}

#[tokio::test]
async fn a_failed_switch_is_reported_with_its_reason() {
    let (_tree, mut tools) = board();
    let text = tools.switch(9, Some(2)).await;
    assert!(text.contains("there is no power mode 9; there are 0 MAXN, 2 MODE_30W"), "{text}");
    let seen = tools.read_modes().await;
    assert_eq!(seen.failed.keys().collect::<Vec<_>>(), [&9]);
    assert_eq!((seen.current, seen.before), (Some(2), None));
}

#[tokio::test]
async fn a_machine_without_power_modes_has_none_and_a_wrong_file_is_trouble() {
    let (tree, mut tools) = board();
    fs::remove_file(tree.path().join("etc/nvpmodel.conf")).unwrap();
    assert_eq!(tools.read_modes().await, bij_coordinator::policy::PowerModeStatus::default());
    fs::write(tree.path().join("etc/nvpmodel.conf"), "< POWER_MODEL >\n").unwrap();
    let PowerModesUnknown::NoneUnderstood(trouble) = tools.read_modes().await.trouble.unwrap()
    else {
        panic!("it has been read");
    };
    assert!(trouble.starts_with("/etc/nvpmodel.conf is unparsable"), "{trouble}");
    fs::write(tree.path().join("etc/nvpmodel.conf"), format!("lonely\n{CONF}")).unwrap();
    let seen = tools.read_modes().await;
    assert_eq!((seen.trouble, seen.offered.len(), seen.current), (None, 2, Some(2)));
}

/// Returns a board with one clock, and a stand-in for `jetson_clocks`.
fn clocked() -> (tempfile::TempDir, PowerTools) {
    let tree = tempfile::tempdir().unwrap();
    let cpu = "sys/devices/system/cpu/cpu0";
    for (file, text) in [
        ("cpufreq/scaling_min_freq", "700\n"),
        ("cpufreq/scaling_max_freq", "2200\n"),
        ("cpuidle/state0/disable", "0\n"),
    ] {
        put(tree.path(), &format!("{cpu}/{file}"), text);
    }
    for file in ["min_freq", "max_freq"] {
        put(tree.path(), &format!("sys/class/devfreq/17000000.gpu/{file}"), "300\n");
    }
    put(tree.path(), "sys/kernel/debug/bpmp/debug/clk/emc/mrq_rate_locked", "0\n");
    let stand_in =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../bij-jetson/tests/stand-ins/jetson_clocks");
    fs::create_dir_all(tree.path().join("usr/bin")).unwrap();
    symlink(stand_in, tree.path().join("usr/bin/jetson_clocks")).unwrap();
    let tools = tools(tree.path());
    (tree, tools)
}

fn lowest(tree: &tempfile::TempDir) -> String {
    let file = "sys/devices/system/cpu/cpu0/cpufreq/scaling_min_freq";
    fs::read_to_string(tree.path().join(file)).unwrap().trim().to_owned()
}

fn runs(names: &[&str]) -> Vec<RunId> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

#[tokio::test]
async fn clocks_are_held_while_a_run_needs_them_and_reported_once() {
    let (tree, mut held) = clocked();
    assert_eq!(held.hold_clocks(&[]).await, None);
    let text = held.hold_clocks(&runs(&["a#1", "b#2"])).await.unwrap();
    assert_eq!(text, "the clocks are held at their highest for a#1, b#2");
    assert_eq!(lowest(&tree), "2200");
    assert_eq!(held.hold_clocks(&runs(&["b#2"])).await, None);
    assert_eq!(held.hold_clocks(&[]).await.unwrap(), "the clocks follow the load again");
    assert_eq!(lowest(&tree), "700");
}

#[tokio::test]
async fn the_next_coordinator_keeps_or_releases_clocks_of_a_killed_one() {
    let (tree, mut first) = clocked();
    first.hold_clocks(&runs(&["a#1"])).await;
    let mut second = tools(tree.path());
    assert_eq!(second.hold_clocks(&runs(&["a#1"])).await, None, "it is so");
    assert_eq!(lowest(&tree), "2200");
    let mut third = tools(tree.path());
    third.hold_clocks(&[]).await.unwrap();
    assert_eq!(lowest(&tree), "700");
}

#[tokio::test]
async fn clocks_that_cannot_be_held_are_reported_once_and_tried_rarely() {
    let (tree, mut held) = clocked();
    put(tree.path(), "faults", "no-gpu\n");
    let text = held.hold_clocks(&runs(&["a#1"])).await.unwrap();
    assert!(text.starts_with("the clocks cannot be held at their highest: "), "{text}");
    assert!(text.contains("GPU frequency scaling not supported"), "{text}");
    put(tree.path(), "faults", "\n");
    assert_eq!(held.hold_clocks(&runs(&["a#1"])).await, None, "it was tried a moment ago");
    assert_eq!(lowest(&tree), "700");
}

#[tokio::test]
async fn clocks_that_cannot_be_released_are_reported_and_a_new_wish_is_tried_at_once() {
    let (tree, mut held) = clocked();
    held.hold_clocks(&runs(&["a#1"])).await;
    let min = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_min_freq";
    put(tree.path(), "faults", &format!("stuck {min}\n"));
    let text = held.hold_clocks(&[]).await.unwrap();
    assert!(text.starts_with("the clocks cannot be released: "), "{text}");
    assert_eq!(held.hold_clocks(&runs(&["b#1"])).await, None, "they are as they are to be");
    put(tree.path(), "faults", "\n");
    let mut next = tools(tree.path());
    next.hold_clocks(&[]).await.unwrap();
    assert_eq!(lowest(&tree), "700");
}

#[tokio::test]
async fn the_end_releases_clocks_whose_hold_is_still_pending() {
    let (tree, mut held) = clocked();
    put(tree.path(), "faults", "slow\n");
    let wanted = runs(&["a#1"]);
    let given_up = timeout(Duration::from_millis(50), held.hold_clocks(&wanted)).await;
    assert!(given_up.is_err(), "its caller is gone, and it goes on");
    put(tree.path(), "faults", "\n");
    held.release().await;
    assert_eq!(lowest(&tree), "700");
    assert_eq!(held.release().await, None, "nothing is held");
}
