//! Temperatures of devices that are warm by design are kept apart from the board's.

use std::sync::Arc;

use bij_core::Celsius;
use bij_core::port::Board;
use bij_jetson::{CapturedTree, Hardware, WhyNot, Zone};

use crate::tree::{IGX_THOR, JETPACK_6, captured, sample};

fn names(zones: &[Zone]) -> Vec<&str> {
    zones.iter().map(|zone| zone.name.as_str()).collect()
}

#[test]
fn a_network_card_and_an_ssd_are_separate_sensors_with_their_own_limits() {
    let board = sample(captured(IGX_THOR));
    assert_eq!(names(&board.zones.unwrap()), ["cpu", "gpu", "soc012", "tj"]);
    let sensors = board.sensors.unwrap();
    assert_eq!(names(&sensors), ["f75308", "mlx5 asic", "nvme composite"]);
    assert_eq!(sensors[1].celsius, Ok(Celsius::new(78)));
    assert_eq!(sensors[1].trips[0].celsius, Ok(Celsius::new(105)));
}

/// An Orin with hot devices of every kind around it.
fn surrounded() -> CapturedTree {
    let mut tree = captured(JETPACK_6);
    let chips = [
        ("mlx5", "87000"),
        ("nvme", "84850"),
        ("r8169_0_300:00", "90000"),
        ("nct6798", "127000"),
        ("tmp451", "95000"),
        ("mt7921_phy0", "99000"),
    ];
    for (number, (name, celsius)) in (20..).zip(chips) {
        tree.set(&format!("sys/class/hwmon/hwmon{number}/name"), format!("{name}\n"));
        tree.set(&format!("sys/class/hwmon/hwmon{number}/temp1_input"), format!("{celsius}\n"));
    }
    for (number, kind) in (20..).zip(["iwlwifi_1", "BAT0", "mlx5", "carrier-thermal"]) {
        tree.set(&format!("sys/class/thermal/thermal_zone{number}/type"), format!("{kind}\n"));
        tree.set(&format!("sys/class/thermal/thermal_zone{number}/temp"), "99000\n");
    }
    tree
}

#[test]
fn devices_around_the_soc_change_neither_decisions_nor_the_record() {
    let (alone, surrounded) = (captured(JETPACK_6), surrounded());
    let machine = |tree: &CapturedTree| Hardware::new(Arc::new(tree.clone()));
    assert_eq!(Board::zones(&machine(&surrounded)), Board::zones(&machine(&alone)));
    assert_eq!(machine(&surrounded).quick_sample(), machine(&alone).quick_sample());
    let board = sample(surrounded);
    assert_eq!(board.zones, sample(alone).zones);
    let sensors = board.sensors.unwrap();
    // The card's zone is registered with hwmon as well.
    assert_eq!(sensors.iter().filter(|sensor| sensor.name == "mlx5").count(), 1);
    assert_eq!(sensors.len(), 9);
}

#[test]
fn a_limit_that_is_not_set_has_no_temperature() {
    let mut tree = captured(IGX_THOR);
    tree.set("sys/class/hwmon/hwmon4/temp1_max", "65261850\n");
    let sensors = sample(tree).sensors.unwrap();
    let ssd = sensors.iter().find(|sensor| sensor.name == "nvme composite").unwrap();
    let set: Vec<_> = ssd.trips.iter().filter(|trip| trip.celsius.is_ok()).collect();
    assert_eq!(set.len(), 1, "its critical temperature");
    assert!(ssd.trips.iter().all(|trip| matches!(trip.celsius, Ok(_) | Err(WhyNot::Off))));
}
