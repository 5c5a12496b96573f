use std::path::Path;
use std::sync::Arc;

use bij_jetson::{CapturedTree, Hardware};
use insta::{assert_json_snapshot, assert_snapshot};
use serde_json::Value;

use super::*;

fn captured(name: &str) -> CapturedTree {
    let trees = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bij-jetson/tests/trees");
    CapturedTree::load(trees.join(name)).unwrap()
}

fn page(tree: CapturedTree) -> BoardPage {
    let machine = Hardware::new(Arc::new(tree));
    BoardPage::new(&machine.sample(), machine.clocks_held())
}

fn text(tree: CapturedTree, width: Option<usize>) -> String {
    let mut out = Vec::new();
    page(tree).text(&mut out, &TextFormat { width, ..TextFormat::for_test() }).unwrap();
    String::from_utf8(out).unwrap()
}

fn json(tree: CapturedTree) -> Value {
    serde_json::to_value(page(tree)).unwrap()
}

#[test]
fn a_jetson_is_shown_as_text() {
    assert_snapshot!(text(captured("agx-orin-jp6"), None));
    assert_snapshot!(text(captured("agx-orin-jp6"), Some(40)));
    assert_snapshot!(text(captured("agx-orin-jp5").as_user(), None));
}

#[test]
fn a_nano_with_l4t_32_has_its_rails_and_its_fan() {
    assert_snapshot!(text(captured("jetson-nano"), None));
    let json = json(captured("jetson-nano"));
    assert_eq!(json["rails"].as_array().unwrap().len(), 3, "{json}");
}

#[test]
fn a_pc_is_shown_as_text() {
    assert_snapshot!(text(captured("generic-pc"), None));
    assert_snapshot!(text(CapturedTree::default(), None));
}

#[test]
fn sensors_of_other_devices_are_listed_apart_with_their_own_limits() {
    let mut tree = captured("igx-thor");
    let shown = text(tree.clone(), None);
    let (zones, sensors) = shown.split_once("\nSENSOR").unwrap();
    assert!(zones.contains("tj ") && !zones.contains("mlx5"), "{shown}");
    assert!(sensors.contains("mlx5 asic") && sensors.contains("critical 105.0"), "{shown}");
    let json = json(tree.clone());
    assert_eq!(json["sensors"][1]["name"], "mlx5 asic");
    assert_eq!(json["zones"].as_array().unwrap().len(), 4);
    tree.set("sys/class/hwmon/hwmon3/temp1_input", "106000\n");
    tree.set("sys/class/hwmon/hwmon4/temp1_max", "65261850\n");
    let mut out = Vec::new();
    page(tree).text(&mut out, &TextFormat { colour: true, ..TextFormat::for_test() }).unwrap();
    let shown = String::from_utf8(out).unwrap();
    assert!(shown.contains("\u{1b}[31m106.0 °C\u{1b}[0m"), "{shown}");
    assert!(shown.contains("critical 84.8") && !shown.contains("hot "), "{shown}");
}

#[test]
fn lines_that_are_not_understood_are_named() {
    let mut tree = captured("xavier-nx");
    let shown = text(tree.clone(), None);
    assert!(shown.contains("MODE_15W_6CORE    in force") && !shown.contains("Left out"), "{shown}");
    let conf = "< POWER_MODEL ID=2 NAME=A >\nX Y 1\n< NEWS >\n< PM_CONFIG DEFAULT=new >\n";
    tree.set("etc/nvpmodel.conf", conf);
    let shown = text(tree.clone(), None);
    assert!(
        shown.contains("Left out: line 3 of nvpmodel.conf: a section that is not known; 1 more"),
        "{shown}"
    );
    let why = json(tree.clone())["why"]["power_modes"].as_str().unwrap().to_owned();
    assert!(why.contains("line 4 of nvpmodel.conf"), "{why}");
    tree.set("etc/nvpmodel.conf", "< POWER_MODEL ID=x NAME=A >\n");
    let shown = text(tree.clone(), None);
    let unknown = "Power mode: none is known, /etc/nvpmodel.conf is unparsable: \"line 1 of";
    assert!(shown.contains(unknown), "{shown}");
    tree.remove("etc/nvpmodel.conf");
    tree.set("etc/nv_tegra_release", "rubbish\n");
    let shown = text(tree, None);
    assert!(shown.contains("none is known, /etc/nvpmodel.conf is absent"), "{shown}");
    assert!(shown.contains("L4T unparsable: \"rubbish\""), "{shown}");
}

#[test]
fn a_mode_of_the_next_boot_is_not_the_one_in_force() {
    let mut tree = captured("agx-orin-jp6");
    // Recorded for the next boot; the GPU's mask and the processors are those of 30 W.
    tree.set("var/lib/nvpmodel/status", "pmode:0000\n");
    let shown = text(tree.clone(), None);
    assert!(shown.contains("Power mode: MODE_30W (2)"), "{shown}");
    assert!(shown.contains("MODE_30W  in force") && shown.contains("at the next boot"), "{shown}");
    assert_eq!(json(tree.clone())["power_mode"]["name"], "MODE_30W");
    tree.set("sys/devices/system/cpu/online", "0-4\n");
    let board = json(tree.clone());
    assert!(board["power_mode"]["id"].is_null());
    let why = board["power_mode"]["why"]["id"].as_str().unwrap().to_owned();
    assert!(why.starts_with("contradicted: nvpmodel's status file says MAXN, but "), "{why}");
    assert!(!text(tree, None).contains("in force"));
}

#[test]
fn memory_that_is_not_measured_is_not_shown_as_zero() {
    let shown = text(captured("agx-thor"), None);
    assert!(
        shown.contains("the GPU's share is unmeasured") && !shown.contains("used by"),
        "{shown}"
    );
    let memory = json(captured("agx-thor"))["memory"].clone();
    assert!(memory["gpu_by_pid"].is_null(), "{memory}");
    assert!(memory["why"]["gpu_by_pid"].as_str().unwrap().contains("nvidia-smi"), "{memory}");
}

#[test]
fn heat_and_over_current_are_highlighted() {
    let mut tree = captured("agx-orin-jp6");
    tree.set("sys/class/thermal/thermal_zone0/temp", "99500\n");
    tree.set("sys/class/thermal/cooling_device0/cur_state", "4\n");
    tree.set("sys/class/hwmon/hwmon2/oc3_event_cnt", "12\n");
    tree.remove("var/lib/nvpmodel/status");
    let mut out = Vec::new();
    page(tree).text(&mut out, &TextFormat { colour: true, ..TextFormat::for_test() }).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("\u{1b}[31mby cpufreq-cpu0\u{1b}[0m"), "{text}");
    assert!(text.contains("12 of peak-current since boot"), "{text}");
    assert!(text.contains("\u{1b}[33m99.5 °C\u{1b}[0m"), "{text}");
}

#[test]
fn a_board_is_shown_as_json() {
    assert_json_snapshot!(page(captured("agx-orin-jp6")));
    assert_json_snapshot!(page(captured("agx-orin-jp5").as_user()));
    assert_json_snapshot!(page(captured("generic-pc")));
}

/// Asserts that every key without a value has a reason.
fn assert_reasons(path: &str, value: &Value) {
    match value {
        Value::Array(entries) => entries.iter().for_each(|entry| assert_reasons(path, entry)),
        Value::Object(object) => {
            for (key, inner) in object.iter().filter(|(key, _)| *key != "why") {
                let reason = match &object.get("why") {
                    Some(Value::Object(reasons)) => reasons.get(key),
                    Some(Value::String(reason)) => Some(&Value::String(reason.clone())),
                    _ => None,
                };
                assert!(
                    !inner.is_null() || reason.is_some(),
                    "{path}.{key} is null and has no reason"
                );
                assert_reasons(&format!("{path}.{key}"), inner);
            }
        }
        _ => {}
    }
}

#[test]
fn every_null_has_a_reason_whatever_is_missing() {
    for name in ["agx-orin-jp5", "agx-orin-jp6", "generic-pc", "igx-thor", "xavier-nx", "agx-thor"]
    {
        let whole = captured(name);
        assert_reasons(name, &json(whole.clone()));
        assert_reasons(name, &json(whole.clone().as_user()));
        for lost in
            ["sys/class", "sys/devices", "proc", "etc", "sys/kernel/debug", "sys/class/hwmon"]
        {
            let mut tree = whole.clone();
            tree.remove(lost);
            assert_reasons(&format!("{name} without {lost}"), &json(tree));
        }
    }
    assert_reasons("nothing", &json(CapturedTree::default()));
}

#[test]
fn the_keys_are_the_same_on_every_machine() {
    let keys = |tree| json(tree).as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(captured("agx-orin-jp6")), keys(CapturedTree::default()));
    let gpu = json(CapturedTree::default())["gpu"].clone();
    assert!(gpu["name"].is_null() && gpu["why"]["name"] == "absent", "{gpu}");
}
