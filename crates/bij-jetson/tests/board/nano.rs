//! An Orin Nano 8 GB with the modes of "Super", derived from the AGX Orin because none was captured.

use std::fmt::Write as _;

use bij_core::{Milliwatts, Outcome};
use bij_jetson::{CapturedTree, SwitchError, WhyNot};

use crate::tree::{Board, JETPACK_6, captured, sample};

/// The shipped modes: number, name and mask. They are not in the order of power.
const MODES: [(u32, &str, u32); 4] =
    [(0, "15W", 240), (1, "25W", 240), (2, "MAXN_SUPER", 240), (3, "7W", 252)];

fn conf() -> String {
    let mut conf = String::from("< PARAM TYPE=FILE NAME=CPU_ONLINE >\n");
    for core in 0..6 {
        writeln!(conf, "CORE_{core} /sys/devices/system/cpu/cpu{core}/online").unwrap();
    }
    conf += "< PARAM TYPE=FILE NAME=FBP_POWER_GATING >\n";
    conf += "FBP_PG_MASK /sys/devices/platform/gpu.0/fbp_pg_mask\n";
    conf += "< PARAM TYPE=FILE NAME=TPC_POWER_GATING >\n";
    conf += "TPC_PG_MASK /sys/devices/platform/gpu.0/tpc_pg_mask\n";
    for (id, name, mask) in MODES {
        writeln!(conf, "< POWER_MODEL ID={id} NAME={name} >").unwrap();
        for core in 0..6 {
            writeln!(conf, "CPU_ONLINE CORE_{core} {}", u8::from(core < 4 || id != 3)).unwrap();
        }
        writeln!(conf, "FBP_POWER_GATING FBP_PG_MASK 2\nTPC_POWER_GATING TPC_PG_MASK {mask}")
            .unwrap();
    }
    conf + "< PM_CONFIG DEFAULT=1 >\n"
}

fn nano() -> CapturedTree {
    let mut tree = captured(JETPACK_6);
    tree.set(
        "proc/device-tree/model",
        "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super\0",
    );
    let compatible = "nvidia,p3768-0000+p3767-0005-super\0nvidia,p3767-0005\0nvidia,tegra234\0";
    tree.set("proc/device-tree/compatible", compatible);
    for zone in [9, 10] {
        tree.remove(&format!("sys/class/thermal/thermal_zone{zone}"));
    }
    for cpu in 6..12 {
        tree.remove(&format!("sys/devices/system/cpu/cpu{cpu}"));
    }
    for (list, text) in [("present", "0-5\n"), ("possible", "0-5\n"), ("online", "0-5\n")] {
        tree.set(&format!("sys/devices/system/cpu/{list}"), text);
    }
    for chip in ["hwmon3", "hwmon4"] {
        tree.remove(&format!("sys/class/hwmon/{chip}"));
    }
    let rails = [("VDD_IN", 5000, 1520), ("VDD_CPU_GPU_CV", 5000, 1760), ("VDD_SOC", 5000, 200)];
    tree.set("sys/class/hwmon/hwmon7/name", "ina3221\n");
    tree.set("sys/class/hwmon/hwmon7/in7_label", "sum of shunt voltages\n");
    for (channel, (label, volts, amperes)) in (1..).zip(rails) {
        let at = |what: &str| format!("sys/class/hwmon/hwmon7/{what}");
        tree.set(&at(&format!("in{channel}_label")), format!("{label}\n"));
        tree.set(&at(&format!("in{channel}_input")), format!("{volts}\n"));
        tree.set(&at(&format!("curr{channel}_input")), format!("{amperes}\n"));
    }
    tree.set("sys/devices/platform/gpu.0/fbp_pg_mask", "2\n");
    tree.set("etc/nvpmodel.conf", conf());
    tree.remove("var/lib/nvpmodel/status");
    tree
}

#[test]
fn its_identity_sensors_and_modes_are_read() {
    let board = sample(nano());
    assert_eq!(board.identity.module.as_deref(), Ok("p3767-0005"));
    assert_eq!(board.total, Ok(Milliwatts::new(7600)), "only its input");
    assert_eq!(board.cpus.unwrap().len(), 6);
    let zones = board.zones.unwrap();
    let off: Vec<&str> =
        zones.iter().filter(|z| z.celsius == Err(WhyNot::Off)).map(|z| z.name.as_str()).collect();
    assert_eq!((zones.len(), off), (9, vec!["cv0", "cv1", "cv2", "gpu"]));
    let current = board.power.current.unwrap();
    assert_eq!((current.id, current.name.as_deref()), (1, Some("25W")), "the default");
    let reboots = board.power.offered.unwrap().into_iter().map(|mode| mode.needs_reboot);
    assert_eq!(reboots.collect::<Vec<_>>(), [Ok(false), Ok(false), Ok(false), Ok(true)]);
}

#[test]
fn modes_with_equal_masks_are_switched_without_a_reboot() {
    let board = Board::unpack(&nano());
    let switch = |id| board.nvpmodel().switch(id, &board.clocks());
    assert_eq!(switch(2).unwrap(), Outcome::Changed);
    assert_eq!(switch(0).unwrap(), Outcome::Changed);
    assert!(matches!(switch(3), Err(SwitchError::NeedsReboot { id: 3 })));
    assert_eq!(board.nvpmodel().query().unwrap().name.as_deref(), Some("15W"));
}
