//! Runs start, end and are continued.

use bij_core::queue::{EventKind, QueueState};
use bij_core::request::Submit;
use bij_core::spec::OnReboot;
use bij_core::{Bytes, RunEnd, RunState, TimeSpan};
use bij_sim::{Script, ScriptedEnd};

use super::machine::*;

fn minutes(number: u32) -> Script {
    Script::ends(TimeSpan::from_secs(60 * number), ScriptedEnd::Exit(0))
}

#[test]
fn runs_start_in_their_order_as_slots_become_free_and_all_end() {
    let mut machine = Machine::new(2);
    for name in ["a", "b", "c", "d"] {
        machine.define(name, minutes(1));
    }
    machine.submit(&["a", "b", "c", "d"]);
    machine.settle();
    assert_eq!(machine.up(), ["a", "b"]);
    assert_eq!(machine.gates_of("c#1"), ["slots"]);
    machine.pass(61);
    assert_eq!(machine.up(), ["c", "d"]);
    machine.pass(61);
    assert_eq!(machine.stored(), [""; 0]);
    for run in ["a#1", "b#1", "c#1", "d#1"] {
        assert_eq!(machine.ended(run), Some(RunState::Ended(RunEnd::Success)), "{run}");
    }
}

#[test]
fn a_settled_world_is_left_alone() {
    let mut machine = Machine::new(1);
    for name in ["a", "b"] {
        machine.define(name, Script::runs());
    }
    machine.submit(&["a", "b"]);
    machine.settle();
    let events = machine.event_count();
    machine.pass(300);
    assert_eq!(machine.event_count(), events, "nothing is written");
    assert_eq!(machine.up(), ["a"]);
}

#[test]
fn a_crash_is_brought_back_by_systemd_and_a_run_that_gives_up_is_over() {
    let mut machine = Machine::new(1);
    machine.define("a", Script::ends(TimeSpan::from_secs(10), ScriptedEnd::Signal));
    machine.define("b", Script::runs());
    machine.submit(&["a", "b"]);
    machine.pass(20);
    assert_eq!(machine.state_of("a#1"), Some(QueueState::Running), "its second attempt");
    machine.pass(60);
    assert_eq!(machine.ended("a#1"), Some(RunState::Ended(RunEnd::GaveUp)));
    assert_eq!(machine.up(), ["b"]);
    assert_eq!(machine.events(EventKind::AttemptBegun).len(), 4, "three of a, one of b");
}

#[test]
fn what_is_laid_over_a_definition_is_there_when_the_run_starts() {
    let mut machine = Machine::new(1);
    machine.define("a", Script::runs());
    let mut submit = Submit::new(id("a"));
    submit.extras = "[environment]\nSEED = '1'\n".to_owned();
    machine.request(vec![submit]).unwrap();
    machine.settle();
    assert!(machine.handover.extras.lock().unwrap()[&id("a")].contains("SEED"));
}

#[test]
fn after_a_power_cut_the_order_is_what_it_was() {
    let mut machine = Machine::new(2);
    for name in ["a", "b", "c", "d"] {
        machine.define(name, Script::runs());
    }
    machine.submit(&["c", "a", "d", "b"]);
    machine.settle();
    assert_eq!(machine.up(), ["a", "c"]);
    machine.cut_power();
    machine.settle();
    assert_eq!(machine.up(), ["a", "c"]);
    assert_eq!(machine.stored(), ["c#1 running", "a#1 running", "d#1 waiting", "b#1 waiting"]);
}

#[test]
fn a_definition_says_what_a_reboot_does_to_its_run() {
    let mut machine = Machine::new(4);
    for (name, on_reboot) in
        [("a", OnReboot::Hold), ("b", OnReboot::Requeue), ("c", OnReboot::Resume)]
    {
        machine.define_with(name, Script::runs(), |spec| spec.restart.on_reboot = on_reboot);
    }
    machine.define("gone", Script::runs());
    machine.submit(&["a", "b", "c", "gone"]);
    machine.settle();
    machine.forget_definition("gone");
    machine.cut_power();
    machine.settle();
    assert_eq!(machine.up(), ["b", "c"]);
    for run in ["a#1", "gone#1"] {
        assert!(matches!(machine.state_of(run), Some(QueueState::Held { .. })), "{run}");
    }
}

#[test]
fn a_large_claim_is_not_starved_by_a_stream_of_small_ones() {
    let mut machine = Machine::new(4);
    let small = Script::ends(TimeSpan::from_secs(30), ScriptedEnd::Exit(0));
    for number in 0..40 {
        machine.define_with(&format!("s{number}"), small.clone(), |spec| {
            spec.limits.memory = "15G".parse().ok();
        });
    }
    machine.define_with("big", minutes(1), |spec| spec.limits.memory = "40G".parse().ok());
    machine.submit(&["s0", "s1", "big"]);
    machine.settle();
    let others: Vec<String> = (2..40).map(|number| format!("s{number}")).collect();
    machine.submit(&others.iter().map(String::as_str).collect::<Vec<_>>());
    let mut waited = 0;
    while !machine.up().contains(&"big".to_owned()) {
        machine.pass(1);
        waited += 1;
        assert!(waited < 300, "big waits for ever");
        assert!(machine.up().len() <= 2, "two claims of 15G fit at most");
    }
    assert_eq!(machine.up(), ["big"]);
}

#[test]
fn a_run_that_was_started_elsewhere_counts_with_the_claim_of_its_definition() {
    let mut machine = Machine::new(4);
    for name in ["a", "b"] {
        machine.define_with(name, Script::runs(), |spec| spec.limits.memory = "30G".parse().ok());
    }
    // Started while no coordinator was there to be asked.
    at_once(bij_core::port::UnitManager::start(&machine.units, &id("a"))).unwrap();
    machine.hooks();
    machine.kill();
    machine.submit(&["b"]);
    machine.settle();
    assert_eq!(machine.up(), ["a"]);
    assert_eq!(machine.gates_of("b#1"), ["memory"]);
    let claimed = machine.coordinator.status().memory_claimed;
    assert_eq!(claimed, Bytes::new(30 << 30));
}

#[test]
fn a_run_waits_for_the_success_of_another() {
    let mut machine = Machine::new(4);
    machine.define("a", minutes(1));
    machine.define_with("b", minutes(1), |spec| {
        spec.queue.after = Some(bij_core::spec::After::All(vec![id("a")]));
    });
    machine.submit(&["a", "b"]);
    machine.settle();
    assert_eq!(machine.up(), ["a"]);
    assert_eq!(machine.gates_of("b#1"), ["dependency"]);
    machine.pass(61);
    assert_eq!(machine.up(), ["b"]);
}

#[test]
fn health_is_checked_and_reported_once() {
    let mut machine = Machine::new(4);
    machine.define_with("a", Script::runs(), |spec| {
        spec.health.stall_after = Some(TimeSpan::from_secs(60));
    });
    machine.submit(&["a"]);
    machine.settle();
    machine.handover.steps.lock().unwrap().insert(id("a"), 3);
    machine.pass(200);
    let events = machine.events(EventKind::Health);
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0].data["health"], "stalled");
    assert_eq!(machine.listed("a#1").health.as_deref(), Some("stalled"));
    machine.handover.steps.lock().unwrap().insert(id("a"), 4);
    machine.pass(30);
    assert_eq!(machine.listed("a#1").health.as_deref(), Some("healthy"));
}
