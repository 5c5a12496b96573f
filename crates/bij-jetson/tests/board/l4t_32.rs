//! A Nano and a TX2 with L4T 32, whose rails and fan are not in hwmon.

use bij_core::{Milliwatts, Percent};
use bij_jetson::WhyNot;
use insta::assert_snapshot;

use crate::render::render;
use crate::tree::{IGX_THOR, JETSON_NANO, JETSON_TX2, captured, sample};

#[test]
fn a_jetson_nano() {
    assert_snapshot!(render(&sample(captured(JETSON_NANO))));
}

#[test]
fn a_jetson_tx2() {
    assert_snapshot!(render(&sample(captured(JETSON_TX2))));
}

#[test]
fn the_total_of_a_nano_is_its_input_and_its_fan_is_read() {
    let board = sample(captured(JETSON_NANO));
    let rails = board.rails.unwrap();
    let names: Vec<&str> = rails.iter().map(|rail| rail.name.as_str()).collect();
    assert_eq!(names, ["POM_5V_CPU", "POM_5V_GPU", "POM_5V_IN"]);
    assert_eq!(board.total, Ok(Milliwatts::new(1750)));
    assert_eq!(board.fan.drive, Ok(Percent::from_permyriad(3137)));
    assert!(matches!(board.fan.rpm, Err(WhyNot::Unmeasured(_))), "{:?}", board.fan);
    assert_eq!(board.identity.module.as_deref(), Ok("p3448-0000"));
    assert_eq!(board.identity.l4t.unwrap().jetpack(), Some("4.6.1"));
    assert_eq!(board.power.current.unwrap().name.as_deref(), Some("MAXN"));
}

#[test]
fn the_total_of_a_tx2_is_its_module_and_all_its_rails_are_read() {
    let board = sample(captured(JETSON_TX2));
    assert_eq!((board.rails.unwrap().len(), board.total), (12, Ok(Milliwatts::new(2930))));
    assert_eq!((board.fan.drive, board.fan.rpm), (Ok(Percent::new(0)), Ok(0)));
}

#[test]
fn a_monitor_of_an_igx_thor_is_a_rail_and_leaves_the_total_unknown() {
    let board = sample(captured(IGX_THOR));
    let rails = board.rails.unwrap();
    let monitor = rails.iter().find(|rail| rail.name == "ina219").unwrap();
    assert_eq!(monitor.milliwatts, Ok(Milliwatts::new(45_000)));
    let why = board.total.unwrap_err().to_string();
    assert_eq!(why, "unmeasured: ina219 has no label that tells what it measures");
}
