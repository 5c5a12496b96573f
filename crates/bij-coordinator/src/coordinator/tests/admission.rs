//! Starts that were requested outside the queue.

use bij_core::port::UnitManager as _;
use bij_core::queue::{EventKind, QueueState};
use bij_core::request::Act;
use bij_core::{Bytes, RunEnd, RunNumber, RunState, TimeSpan};
use bij_sim::{LedgerFault, Script, ScriptedEnd};

use super::machine::*;
use crate::StartRequest;

fn short() -> Script {
    Script::ends(TimeSpan::from_secs(30), ScriptedEnd::Exit(0))
}

#[test]
fn a_start_from_elsewhere_goes_through_the_same_gates_and_is_queued_if_one_is_closed() {
    let mut machine = Machine::new(2);
    for name in ["a", "b", "c"] {
        machine.define(name, short());
    }
    for name in ["a", "b"] {
        let verdict = machine.start_from_elsewhere(name);
        assert!(verdict.admitted, "{verdict:?}");
    }
    let verdict = machine.start_from_elsewhere("c");
    assert!(!verdict.admitted);
    assert_eq!(verdict.run, Some(RunNumber(1)));
    assert_eq!(verdict.text.unwrap(), "2 of 2 slots are taken");
    assert_eq!(machine.events(EventKind::StartSkipped).len(), 1);
    assert_eq!(machine.up(), ["a", "b"]);
    machine.pass(31);
    assert_eq!(machine.up(), ["c"]);
    machine.pass(31);
    assert_eq!(machine.ended("c#1"), Some(RunState::Ended(RunEnd::Success)));
    assert_eq!(machine.ended("c#2"), None, "it was queued once");
}

/// On a full `/run`, for one: no hook asks, and systemd takes that for a "no".
#[test]
fn a_start_that_was_skipped_without_asking_is_queued_once_and_started() {
    let mut machine = Machine::new(1);
    machine.define("a", short());
    for _ in 0..3 {
        machine.skip_start("a", 1);
    }
    assert_eq!(machine.events(EventKind::Submitted).len(), 1);
    assert_eq!(machine.events(EventKind::StartSkipped).len(), 1);
    machine.pass(1);
    assert_eq!(machine.up(), ["a"]);
    machine.pass(31);
    assert_eq!(machine.ended("a#1"), Some(RunState::Ended(RunEnd::Success)));
}

#[test]
fn a_refused_start_is_not_taken_for_one_that_was_skipped_without_the_hook() {
    let mut machine = Machine::new(1);
    machine.define("a", short());
    assert!(machine.start_from_elsewhere("a").admitted);
    machine.pass(31);
    let by = "the boot".to_owned();
    let at_boot = StartRequest {
        experiment: id("a"),
        at_boot: true,
        by,
        invocation: Some(invocation(1)),
        extras: String::new(),
    };
    let now = machine.now();
    assert!(!machine.coordinator.admit(&at_boot, now).admitted, "it has succeeded already");
    machine.skip_start("a", 1);
    assert_eq!(machine.ended("a#2"), None);
    machine.pass(31);
    assert_eq!(machine.up(), [""; 0]);
    machine.skip_start("undefined", 2);
    machine.pass(1);
    assert_eq!(machine.up(), [""; 0]);
}

/// As on a slow machine whose experiments all start at boot.
#[test]
fn a_skip_that_is_reported_after_its_run_has_ended_makes_no_second_run() {
    let mut machine = Machine::new(1);
    machine.define("a", short());
    machine.define("b", short());
    assert!(machine.start_from_elsewhere("b").admitted);
    let mut admission = StartRequest {
        experiment: id("a"),
        at_boot: true,
        by: "boot".to_owned(),
        invocation: Some(invocation(1)),
        extras: String::new(),
    };
    for number in [1, 2] {
        admission.invocation = Some(invocation(number));
        let now = machine.now();
        assert!(!machine.coordinator.admit(&admission, now).admitted, "b has the slot");
    }
    machine.pass(80);
    assert_eq!(machine.ended("a#1"), Some(RunState::Ended(RunEnd::Success)));
    for number in [1, 1, 2, 2] {
        machine.skip_start("a", number);
    }
    machine.pass(80);
    assert_eq!(machine.ended("a#2"), None, "a second run");
    assert_eq!(machine.events(EventKind::Submitted).len(), 2);
}

#[test]
fn thirty_units_that_start_at_once_never_exceed_the_slots_and_all_end() {
    let mut machine = Machine::new(4);
    let names: Vec<String> = (0..30).map(|number| format!("e{number}")).collect();
    for name in &names {
        machine.define(name, short());
    }
    for name in &names {
        let verdict = machine.admit(name);
        if verdict.admitted {
            at_once(bij_core::port::UnitManager::start(&machine.units, &id(name))).unwrap();
        }
    }
    for _ in 0..400 {
        machine.pass(1);
        assert!(machine.up().len() <= 4, "{:?}", machine.up());
    }
    for name in &names {
        let run = format!("{name}#1");
        assert_eq!(machine.ended(&run), Some(RunState::Ended(RunEnd::Success)), "{run}");
    }
}

#[test]
fn an_automatic_restart_goes_on_unless_it_is_to_be_stopped() {
    let mut machine = Machine::new(1);
    machine.define("a", Script::ends(TimeSpan::from_secs(10), ScriptedEnd::Signal));
    machine.submit(&["a"]);
    machine.pass(11);
    assert_eq!(machine.state_of("a#1"), Some(QueueState::Running));
    assert!(machine.admit("a").admitted);
    machine.act("a#1", &Act::Stop).unwrap();
    let verdict = machine.admit("a");
    assert!(!verdict.admitted && verdict.text.unwrap().contains("to be stopped"));
}

#[test]
fn a_held_run_is_not_started_from_elsewhere_either() {
    let mut machine = Machine::new(1);
    machine.define("a", Script::runs());
    machine.submit(&["a"]);
    machine.act("a", &Act::Hold).unwrap();
    let verdict = machine.admit("a");
    assert!(!verdict.admitted);
    assert_eq!(verdict.text.unwrap(), "held by bob");
    assert_eq!(machine.stored(), ["a#1 held"], "and no second run is queued");
}

#[test]
fn what_is_waited_for_goes_first_whoever_starts_it() {
    let mut machine = Machine::new(1);
    machine.define("a", Script::runs());
    machine.define("b", Script::runs());
    machine.submit(&["a"]);
    let verdict = machine.admit("b");
    assert!(!verdict.admitted, "a was there before");
    machine.settle();
    assert_eq!(machine.up(), ["a"]);
}

#[test]
fn an_experiment_that_has_succeeded_does_not_run_again_at_boot_unless_it_says_so() {
    let mut machine = Machine::new(1);
    machine.define("a", short());
    machine.define_with("b", short(), |spec| spec.restart.rerun_at_boot = true);
    machine.submit(&["a"]);
    machine.pass(32);
    machine.submit(&["b"]);
    machine.pass(32);
    let now = machine.now();
    let mut at_boot = |name: &str| {
        let (experiment, by) = (id(name), "boot".to_owned());
        let admission =
            StartRequest { experiment, at_boot: true, by, invocation: None, extras: String::new() };
        machine.coordinator.admit(&admission, now)
    };
    let verdict = at_boot("a");
    assert!(!verdict.admitted && verdict.text.unwrap().contains("rerun_at_boot"));
    assert!(at_boot("b").admitted);
    assert_eq!(machine.stored(), ["b#2 starting"]);
    assert!(!machine.admit("a").admitted, "b has the slot");
    assert_eq!(machine.stored(), ["b#2 starting", "a#2 waiting"]);
}

#[test]
fn a_full_disk_keeps_no_start_from_being_judged() {
    let mut machine = Machine::new(2);
    for name in ["a", "b", "c"] {
        machine.define_with(name, Script::runs(), |spec| spec.limits.memory = "1G".parse().ok());
    }
    machine.settle();
    machine.ledger.fail(Some(LedgerFault::Full));
    for name in ["a", "b"] {
        let verdict = machine.admit(name);
        assert!(verdict.admitted && verdict.text.unwrap().contains("could not be recorded"));
    }
    let verdict = machine.admit("c");
    assert!(!verdict.admitted, "those that could not be recorded count");
    assert!(verdict.unrecorded, "the caller has to keep it");
    assert!(verdict.text.unwrap().contains("could not be queued"));
    assert_eq!(machine.coordinator.status().memory_claimed, Bytes::new(2 << 30));
}

#[test]
fn a_start_without_a_record_keeps_its_slot_no_longer_than_its_unit_is_up() {
    let mut machine = Machine::new(1);
    machine.define("a", Script::ends(TimeSpan::from_secs(1), ScriptedEnd::Exit(0)));
    machine.define("b", Script::runs());
    machine.settle();
    machine.ledger.fail(Some(LedgerFault::Full));
    assert!(machine.admit("a").admitted);
    machine.ledger.fail(None);
    assert!(!machine.admit("b").admitted, "a is on its way");
    // The unit has come and gone before it was looked at.
    at_once(machine.units.start(&id("a"))).unwrap();
    machine.units.advance(TimeSpan::from_secs(2));
    machine.settle();
    assert!(machine.up().contains(&"b".to_owned()), "the slot of a is free");
}

#[test]
fn a_claim_over_the_budget_is_turned_away_with_the_numbers_and_not_queued() {
    let mut machine = Machine::new(2);
    machine.define_with("a", Script::runs(), |spec| spec.limits.memory = "41G".parse().ok());
    let verdict = machine.admit("a");
    assert!(!verdict.admitted);
    let text = verdict.text.unwrap();
    assert!(text.contains("claims 41.0G") && text.contains("TOTAL_RAM_LIMIT_GB"), "{text}");
    assert_eq!(machine.stored(), [""; 0]);
}

#[test]
fn what_has_no_usable_definition_says_so_by_its_own_start() {
    let mut machine = Machine::new(2);
    assert!(machine.admit("nobody").admitted);
}

#[test]
fn after_a_power_cut_an_enabled_unit_carries_its_run_on() {
    let mut machine = Machine::new(1);
    machine.define("a", Script::runs());
    machine.define("b", Script::runs());
    machine.submit(&["a", "b"]);
    machine.settle();
    machine.cut_power();
    // The boot starts both, b first.
    assert!(!machine.start_from_elsewhere("b").admitted);
    machine.settle();
    assert_eq!(machine.stored(), ["a#1 running", "b#1 waiting"]);
}
