use std::collections::BTreeSet;

use super::*;
use crate::testing::Machine;

/// The drop-in that a first boot makes.
fn drop_in_at_boot(machine: &Machine) -> String {
    remove_drop_in(&machine.host.layout().drop_in(&machine.id)).unwrap();
    machine.render();
    machine.drop_in().unwrap()
}

#[test]
fn a_definition_becomes_a_drop_in_where_systemd_looks_for_it() {
    let machine = Machine::new();
    let text = drop_in_at_boot(&machine);
    assert!(text.contains("/bin/true") && text.contains("BIJ_STAMP=s1"), "{text}");
    let path = machine.path("run/systemd/system.attached/brain-experiment@x.service.d");
    assert!(path.join("10-experiment.conf").exists());
}

#[test]
fn a_unit_with_the_gpu_gets_the_nodes_of_this_machine_and_a_stamp_of_them() {
    let machine = Machine::new();
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
    let machine = Machine::new();
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
    let machine = Machine::new();
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
