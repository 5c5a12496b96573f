//! Renders a sample as text for snapshots, one line per item.

use std::fmt::{Debug, Write as _};

use bij_jetson::{HardwareReading, Reading};

pub(crate) fn render(board: &HardwareReading) -> String {
    let mut out = String::new();
    writeln!(out, "{:?}", board.identity).unwrap();
    list(&mut out, "zone", &board.zones);
    if !board.sensors.as_ref().is_ok_and(Vec::is_empty) {
        list(&mut out, "sensor", &board.sensors);
    }
    list(&mut out, "cooling", &board.cooling);
    writeln!(out, "throttled {:?}", board.throttled()).unwrap();
    list(&mut out, "over-current", &board.over_current);
    list(&mut out, "rail", &board.rails);
    writeln!(out, "total {:?}", board.total).unwrap();
    list(&mut out, "energy", &board.energy);
    writeln!(out, "{:?}", board.gpu).unwrap();
    list(&mut out, "cpu", &board.cpus);
    let memory = format!("{:?}", board.memory).replace(", gpu_passed_over: []", "");
    writeln!(out, "{:?}\n{memory}\n{:?}", board.emc, board.fan).unwrap();
    writeln!(out, "power mode {:?}", board.power.current).unwrap();
    list(&mut out, "power mode", &board.power.offered);
    out
}

fn list<T: Debug>(out: &mut String, what: &str, reading: &Reading<Vec<T>>) {
    match reading {
        Ok(list) if list.is_empty() => writeln!(out, "{what}: none").unwrap(),
        Ok(list) => list.iter().for_each(|entry| writeln!(out, "{what} {entry:?}").unwrap()),
        Err(why) => writeln!(out, "{what}: {why:?}").unwrap(),
    }
}
