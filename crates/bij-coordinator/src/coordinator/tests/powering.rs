//! The board is switched between runs that want it otherwise.

use bij_core::TimeSpan;
use bij_core::queue::EventKind;
use bij_sim::{LifeEnd, Script};

use super::machine::*;
use crate::policy::{PowerOffer, PowerSeen};

fn tell(machine: &mut Machine, current: u32, told: Option<&str>) {
    let offer = |id, name: &str| PowerOffer { id, name: name.to_owned(), needs_reboot: false };
    let offered = vec![offer(0, "MAXN"), offer(2, "MODE_30W")];
    let seen = PowerSeen { offered, current: Some(current), ..PowerSeen::default() };
    let told = told.map(|text| (current.to_string(), text.to_owned()));
    let now = machine.now();
    machine.coordinator.power(seen, told, now);
    machine.settle();
}

#[test]
fn a_switch_comes_between_those_that_want_one_mode_and_those_that_want_another() {
    let mut machine = Machine::new(4);
    for (name, mode) in [("a", "MODE_30W"), ("b", "MAXN"), ("c", "30W")] {
        let script = Script::ends(TimeSpan::from_secs(60), LifeEnd::Exit(0));
        machine.define_with(name, script, |spec| spec.power.mode = Some(mode.into()));
    }
    tell(&mut machine, 2, None);
    machine.submit(&["a", "b", "c"]);
    machine.settle();
    assert_eq!(machine.up(), ["a"]);
    assert_eq!(machine.gates_of("b#1"), ["power-mode"]);
    assert!(!machine.coordinator.begin_power_switch(0), "not under one that is up");
    machine.pass(61);
    assert_eq!(machine.up(), [""; 0]);
    assert_eq!(machine.coordinator.power_wish(), Some(0));
    assert!(machine.coordinator.begin_power_switch(0));
    machine.settle();
    assert_eq!(machine.up(), [""; 0], "nobody starts while it is switched");
    assert!(!machine.coordinator.begin_power_switch(0), "it is under way");
    tell(&mut machine, 0, Some("the board is in power mode 0"));
    assert_eq!(machine.up(), ["b"]);
    let events = machine.events(EventKind::PowerMode);
    assert_eq!((events.len(), events[0].data["mode"].as_str()), (1, "0"));
    machine.pass(61);
    assert_eq!(machine.coordinator.power_wish(), Some(2));
    tell(&mut machine, 2, None);
    assert_eq!(machine.up(), ["c"]);
}
