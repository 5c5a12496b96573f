//! Prints a board below a root: `cargo run -p bij-jetson --example board [ROOT]`.
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::fmt::Display;

use bij_jetson::{Hardware, OpenError, Reading};

fn show(name: &str, reading: &Reading<impl Display>) {
    match reading {
        Ok(value) => println!("{name:>20}  {value}"),
        Err(why) => println!("{name:>20}  - ({why})"),
    }
}

fn main() -> Result<(), OpenError> {
    let root = std::env::args_os().nth(1).unwrap_or("/".into());
    let board = Hardware::open(root)?.sample();
    show("model", &board.identity.model);
    show("L4T", &board.identity.l4t);
    for zone in board.zones.iter().flatten() {
        show(&zone.name, &zone.celsius);
    }
    for rail in board.rails.iter().flatten() {
        show(&rail.name, &rail.milliwatts);
    }
    show("total", &board.total);
    show("available memory", &board.memory.available);
    if let Ok(gpu) = &board.gpu {
        show("GPU", &gpu.load);
    }
    for mode in board.power.offered.iter().flatten() {
        show(&mode.name, &mode.needs_reboot.as_ref().copied().map_err(Clone::clone));
    }
    println!("{:>20}  {:?}", "throttled", board.throttled());
    Ok(())
}
