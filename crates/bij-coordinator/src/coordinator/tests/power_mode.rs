//! Switches of the power mode between runs that need different ones.

use bij_core::TimeSpan;
use bij_core::queue::EventKind;
use bij_core::request::Submit;
use bij_core::spec::Clocks;
use bij_sim::{Script, ScriptedEnd};

use super::machine::*;
use crate::policy::{PowerModeOption, PowerModeStatus};
use crate::{PowerSwitchOutcome, RequestError};

fn offer(id: u32, name: &str) -> PowerModeOption {
    PowerModeOption { id, name: name.to_owned(), needs_reboot: false }
}

fn report(machine: &mut Machine, current: u32, text: Option<&str>) {
    let offered = vec![offer(0, "MAXN"), offer(2, "MODE_30W")];
    let seen = PowerModeStatus { offered, current: Some(current), ..PowerModeStatus::default() };
    let outcome =
        text.map(|text| PowerSwitchOutcome { mode: current, text: text.to_owned(), by: None });
    let now = machine.now();
    machine.coordinator.power(seen, outcome, now);
    machine.settle();
}

#[test]
fn the_board_is_switched_between_runs_with_different_modes() {
    let mut machine = Machine::new(4);
    for (name, mode) in [("a", "MODE_30W"), ("b", "MAXN"), ("c", "30W")] {
        let script = Script::ends(TimeSpan::from_secs(60), ScriptedEnd::Exit(0));
        machine.define_with(name, script, |spec| spec.power.mode = Some(mode.into()));
    }
    report(&mut machine, 2, None);
    machine.submit(&["a", "b", "c"]);
    machine.settle();
    assert_eq!(machine.up(), ["a"]);
    assert_eq!(machine.gates_of("b#1"), ["power-mode"]);
    assert!(!machine.coordinator.begin_power_switch(0), "not under one that is up");
    machine.pass(61);
    assert_eq!(machine.up(), [""; 0]);
    assert_eq!(machine.coordinator.power_target().mode, Some(0));
    assert!(machine.coordinator.begin_power_switch(0));
    machine.settle();
    assert_eq!(machine.up(), [""; 0], "no run starts during the switch");
    assert!(!machine.coordinator.begin_power_switch(0), "it is under way");
    report(&mut machine, 0, Some("the board is in power mode 0"));
    assert_eq!(machine.up(), ["b"]);
    let events = machine.events(EventKind::PowerMode);
    assert_eq!((events.len(), events[0].data["mode"].as_str()), (1, "0"));
    machine.pass(61);
    assert_eq!(machine.coordinator.power_target().mode, Some(2));
    report(&mut machine, 2, None);
    assert_eq!(machine.up(), ["c"]);
}

#[test]
fn a_board_is_not_switched_by_hand_under_a_run_that_needs_its_mode() {
    let mut machine = Machine::new(4);
    for (name, mode) in [("a", Some("MODE_30W")), ("b", None), ("c", Some("MODE_30W"))] {
        let script = Script::ends(TimeSpan::from_secs(60), ScriptedEnd::Exit(0));
        machine.define_with(name, script, |spec| spec.power.mode = mode.map(Into::into));
    }
    report(&mut machine, 2, None);
    machine.submit(&["a", "b"]);
    machine.settle();
    let refused = machine.coordinator.begin_power_set(0).unwrap_err();
    assert!(matches!(refused, RequestError::PowerInUse { .. }), "{refused}");
    assert_eq!(refused.to_string(), "a#1 is up and wants power mode MODE_30W");
    machine.pass(61);
    machine.coordinator.begin_power_set(0).unwrap();
    machine.submit(&["c"]);
    machine.settle();
    assert_eq!(machine.up(), [""; 0], "no run starts during the switch");
    let (offered, now) = (vec![offer(0, "MAXN"), offer(2, "MODE_30W")], machine.now());
    let seen = PowerModeStatus { offered, current: Some(0), ..PowerModeStatus::default() };
    let text = "the board is in power mode MAXN".to_owned();
    let outcome = PowerSwitchOutcome { mode: 0, text, by: Some("alice".to_owned()) };
    machine.coordinator.power(seen, Some(outcome), now);
    machine.settle();
    let events = machine.events(EventKind::PowerMode);
    assert_eq!(events[0].data["by"], "alice");
    assert_eq!(machine.coordinator.power_target().mode, Some(2), "who waits has it switched again");
}

#[test]
fn clocks_are_held_from_a_start_to_its_end() {
    let mut machine = Machine::new(4);
    let script = Script::ends(TimeSpan::from_secs(60), ScriptedEnd::Exit(0));
    machine.define_with("a", script, |spec| spec.power.clocks = Clocks::Max);
    machine.settle();
    assert!(machine.coordinator.power_target().clocks.is_empty());
    machine.submit(&["a"]);
    machine.settle();
    assert_eq!(machine.coordinator.power_target().clocks.len(), 1);
    machine.kill();
    machine.settle();
    assert_eq!(machine.coordinator.power_target().clocks.len(), 1, "the queue remembers it");
    machine.pass(61);
    assert!(machine.coordinator.power_target().clocks.is_empty());
}

#[test]
fn a_mode_that_the_board_does_not_have_is_refused_at_submission() {
    let mut machine = Machine::new(4);
    let script = Script::ends(TimeSpan::from_secs(60), ScriptedEnd::Exit(0));
    machine.define_with("a", script, |spec| spec.power.mode = Some("TURBO".into()));
    report(&mut machine, 2, None);
    let refused = machine.request(vec![Submit::new(id("a"))]).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "a could never start: wants power mode TURBO, and this board has MAXN, MODE_30W"
    );
    let now = machine.now();
    machine.coordinator.power(PowerModeStatus::default(), None, now);
    machine.submit(&["a"]);
    machine.settle();
    assert_eq!(machine.up(), ["a"], "a board without modes has but one way to run");
}
