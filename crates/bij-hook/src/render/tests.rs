use std::collections::BTreeSet;
use std::os::unix::fs::symlink;

use super::*;
use crate::testing::TestMachine;

/// The drop-in that a first boot makes.
fn drop_in_at_boot(machine: &TestMachine) -> String {
    remove_drop_in(&machine.host.layout().drop_in(&machine.id)).unwrap();
    machine.render();
    machine.drop_in().unwrap()
}

#[test]
fn a_definition_becomes_a_drop_in_where_systemd_looks_for_it() {
    let machine = TestMachine::new();
    let text = drop_in_at_boot(&machine);
    assert!(text.contains("/bin/true") && text.contains("BIJ_STAMP=s1"), "{text}");
    let path = machine.path("run/systemd/system.attached/brain-experiment@x.service.d");
    assert!(path.join("10-experiment.conf").exists());
}

#[test]
fn a_unit_with_the_gpu_gets_the_nodes_of_this_machine_and_a_stamp_of_them() {
    let machine = TestMachine::new();
    machine.definitions.0.lock().unwrap().as_mut().unwrap().0.gpu.access = true;
    let mut stamps = BTreeSet::new();
    for (devices, node, policy) in [
        ("226 drm\n", "card0", &["# [gpu] access: this machine has no GPU"][..]),
        ("503 17000000.gpu\n", "card0", &["DevicePolicy=closed", "DeviceAllow=/dev/nvmap rw"]),
        ("226 drm\n", "renderD128", &["DevicePolicy=closed", "DeviceAllow=/dev/dri/renderD128"]),
        ("195 nvidia\n", "renderD128", &["PrivateDevices=no", "SupplementaryGroups=video"]),
    ] {
        machine.write("proc/devices", &format!("Character devices:\n{devices}"));
        machine.write("etc/group", "root:x:0:\nvideo:x:44:\nrenderer:x:9:\n");
        machine.write(&format!("dev/dri/{node}"), "");
        let text = drop_in_at_boot(&machine);
        assert!(policy.iter().all(|line| text.contains(line)), "{text}");
        stamps.extend(text.lines().find(|line| line.contains("BIJ_STAMP=s1")).map(str::to_owned));
    }
    assert_eq!(stamps.len(), 4, "another GPU is another unit: {stamps:?}");
}

#[test]
fn a_user_that_is_not_there_makes_a_start_fail_instead_of_skipping_it() {
    let machine = TestMachine::new();
    machine.definitions.0.lock().unwrap().as_mut().unwrap().0.user = Some("brain".to_owned());
    let mut stamps = BTreeSet::new();
    for (users, conditional) in [("root:x:0:0\n", false), ("brain:x:7:7\n", true)] {
        machine.write("etc/passwd", users);
        let text = drop_in_at_boot(&machine);
        assert_eq!(!text.contains("\nExecCondition=\n"), conditional, "{text}");
        assert_eq!(!text.contains("/bij-hook begin %i\n"), conditional, "{text}");
        stamps.extend(text.lines().find(|line| line.contains("BIJ_STAMP=s1")).map(str::to_owned));
    }
    assert_eq!(stamps.len(), 2, "a user that has come makes another unit: {stamps:?}");
}

#[test]
fn at_boot_the_manager_reloads_once_and_only_for_units_that_it_has_loaded() {
    let machine = TestMachine::new();
    let boot = || render_at_boot(&machine.host, &machine.definitions, Some(&machine.manager));
    let path = machine.host.layout().drop_in(&machine.id);
    boot();
    assert_eq!(machine.manager.reloads.get(), 0, "no unit is loaded");
    remove_drop_in(&path).unwrap();
    machine.manager.has_loaded.set(true);
    boot();
    assert_eq!(machine.manager.reloads.get(), 1);
    boot();
    assert_eq!(machine.manager.reloads.get(), 1, "nothing has changed");
    // Without an answer there may be units; without a bus nothing fails.
    remove_drop_in(&path).unwrap();
    machine.manager.mute.set(true);
    boot();
    assert!(path.exists());
}

#[test]
fn a_drop_in_is_replaced_whole_and_temporary_files_are_removed() {
    let tree = tempfile::tempdir().unwrap();
    let path = tree.path().join("x.service.d/10-experiment.conf");
    assert_eq!(put_drop_in(&path, "one").unwrap(), Outcome::Changed);
    assert_eq!(put_drop_in(&path, "one").unwrap(), Outcome::Unchanged);
    fs::write(path.with_file_name(".10-experiment.conf.x1y2z3"), "half").unwrap();
    assert_eq!(put_drop_in(&path, "two").unwrap(), Outcome::Changed);
    assert_eq!(fs::read_to_string(&path).unwrap(), "two");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o644);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn a_link_in_its_place_is_replaced_and_not_followed() {
    let tree = tempfile::tempdir().unwrap();
    let (victim, path) = (tree.path().join("victim"), tree.path().join("10-experiment.conf"));
    fs::write(&victim, "mine").unwrap();
    symlink(&victim, &path).unwrap();
    put_drop_in(&path, "text").unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
    assert!(path.symlink_metadata().unwrap().is_file());
}

#[test]
fn an_operators_own_drop_in_outlives_ours() {
    let tree = tempfile::tempdir().unwrap();
    let path = tree.path().join("x.service.d/10-experiment.conf");
    put_drop_in(&path, "text").unwrap();
    fs::write(path.with_file_name("override.conf"), "theirs").unwrap();
    assert_eq!(remove_drop_in(&path).unwrap(), Outcome::Changed);
    assert_eq!(remove_drop_in(&path).unwrap(), Outcome::Unchanged);
    assert!(path.with_file_name("override.conf").exists());
    fs::remove_file(path.with_file_name("override.conf")).unwrap();
    remove_drop_in(&path).unwrap();
    assert!(!path.parent().unwrap().exists());
}
