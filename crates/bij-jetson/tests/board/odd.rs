//! Known peculiarities of other boards.

use std::io;
use std::sync::{Arc, Mutex};

use bij_core::{Celsius, Milliwatts};
use bij_jetson::{CapturedTree, Files, Hardware, WhyNot};

use crate::tree::{ALL, JETPACK_5, JETPACK_6, captured, sample};

/// A tree that records which files are read.
struct Watched {
    tree: CapturedTree,
    read: Mutex<Vec<String>>,
}

impl Files for Watched {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.read.lock().unwrap().push(path.to_owned());
        self.tree.read(path)
    }
    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        self.tree.list(directory)
    }
    fn write(&self, path: &str, _: &str) -> io::Result<()> {
        panic!("a sample writes to {path}")
    }
}

#[test]
fn nothing_is_read_that_was_not_chosen_by_its_name() {
    // Some block until the next alert, others are cleared by being read; drivers may have more of these.
    const TRAPS: [&str; 3] = ["thermal_alert_block", "counters_reset", "temp_trap_oc_in_pwm"];
    for name in ALL {
        let mut tree = captured(name);
        let directories: Vec<String> = tree
            .paths()
            .filter_map(|path| path.rsplit_once('/').map(|(directory, _)| directory.to_owned()))
            .collect();
        for (directory, trap) in directories.iter().flat_map(|d| TRAPS.map(|trap| (d, trap))) {
            tree.set(&format!("{directory}/{trap}"), "1\n");
        }
        let files = Arc::new(Watched { tree, read: Mutex::default() });
        let shared: Arc<dyn Files> = files.clone();
        Hardware::new(shared).sample();
        let read = files.read.lock().unwrap();
        let trapped = read.iter().filter(|path| TRAPS.iter().any(|trap| path.ends_with(trap)));
        assert_eq!(trapped.collect::<Vec<_>>(), Vec::<&String>::new(), "{name}");
        assert!(!read.is_empty());
    }
}

#[test]
fn a_rail_that_feeds_back_lowers_the_total() {
    let mut tree = captured(JETPACK_6);
    let total = sample(tree.clone()).total.unwrap();
    tree.set("sys/class/hwmon/hwmon3/in2_input", "4975\n");
    tree.set("sys/class/hwmon/hwmon3/curr2_input", "-80\n");
    let board = sample(tree);
    let rails = board.rails.unwrap();
    let rail = rails.iter().find(|rail| rail.name == "VDD_CPU_CV").unwrap();
    assert_eq!(rail.milliwatts, Ok(Milliwatts::new(-398)));
    assert_eq!(board.total.unwrap().get(), total.get() - 794 - 398);
}

#[test]
fn a_board_that_throttles_names_the_devices() {
    let mut tree = captured(JETPACK_6);
    tree.set("sys/class/thermal/cooling_device0/cur_state", "3\n");
    tree.set("sys/class/thermal/cooling_device4/cur_state", "2\n");
    tree.set("sys/class/thermal/cooling_device12/cur_state", "1\n");
    tree.set("sys/class/thermal/cooling_device13/cur_state", "2\n");
    let board = sample(tree);
    assert_eq!(board.throttled().unwrap(), ["cpu-throttle-alert", "cpufreq-cpu0"]);
}

#[test]
fn a_gpu_whose_devfreq_entry_is_late_is_found_without_clocks() {
    let mut tree = captured(JETPACK_6);
    tree.remove("sys/class/devfreq");
    let gpu = sample(tree).gpu.unwrap();
    assert_eq!(gpu.name, "17000000.gpu");
    assert_eq!((gpu.clock, gpu.powered), (Err(WhyNot::Absent), Ok(false)));
}

#[test]
fn an_unknown_board_is_read_too() {
    let mut tree = captured(JETPACK_5);
    tree.set("proc/device-tree/model", "ACME Rover 9\0");
    tree.set("proc/device-tree/compatible", "acme,rover\0nvidia,tegra999\0");
    tree.set("etc/nv_tegra_release", "# R99 (release), REVISION: 1.0, GCID: 1\n");
    tree.remove("etc/nvpmodel.conf");
    tree.set("sys/class/thermal/thermal_zone0/type", "NPU-therm\n");
    let board = sample(tree);
    assert_eq!(board.identity.model.as_deref(), Ok("ACME Rover 9"));
    assert_eq!(board.identity.soc.as_deref(), Ok("tegra999"));
    assert_eq!(board.identity.l4t.unwrap().to_string(), "99.1.0");
    assert_eq!(board.power.offered, Err(WhyNot::Absent));
    let zones = board.zones.unwrap();
    let npu = zones.iter().find(|zone| zone.name == "npu").unwrap();
    assert_eq!(npu.celsius, Ok(Celsius::from_millis(41_437)));
}

#[test]
fn a_damaged_status_file_is_reported_and_hides_no_modes() {
    let mut tree = captured(JETPACK_6);
    tree.set("var/lib/nvpmodel/status", "\0\0\0\0");
    let power = sample(tree).power;
    assert!(matches!(power.current, Err(WhyNot::Unparsable(_))));
    assert_eq!(power.offered.unwrap().len(), 4);
}
