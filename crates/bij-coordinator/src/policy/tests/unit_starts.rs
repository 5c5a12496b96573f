//! Starts of units: repeated, delayed, given up.

use bij_core::port::Change;
use bij_core::queue::QueueState;
use bij_core::{ActiveState, Uptime};

use crate::policy::testing::*;
use crate::policy::{BackOff, Busy, MAX_TRIES};

#[test]
fn a_start_that_was_decided_and_never_asked_for_is_asked_for() {
    let mut world = World::new([waiting("a#1").starting()]);
    assert_eq!(world.started(), ["a#1"]);
    for (state, sub) in [
        (ActiveState::Activating, "condition"),
        (ActiveState::Activating, "start-pre"),
        (ActiveState::Active, "running"),
    ] {
        world.unit("a", &state, sub);
        assert_eq!(world.started(), [""; 0], "{sub}");
    }
}

#[test]
fn a_start_that_is_under_way_is_not_asked_for_again() {
    let mut world = World::new([waiting("a#1").starting()]);
    world.state.busy.insert(experiment("a"), Busy::Starting);
    assert_eq!(world.started(), [""; 0]);
}

#[test]
fn a_failed_start_is_delayed_even_for_a_run_that_passes_the_gates() {
    let mut world = World::new([waiting("a#1").at_once()]);
    let why = "the unit is masked".to_owned();
    let back_off = BackOff { tries: 1, until: Uptime::from_secs(605), why };
    world.state.back_off.insert(run_id("a#1"), back_off);
    assert_eq!(world.gates_of("a#1"), ["back-off"]);
    assert_eq!(world.decide().report.next_decision, Some(Uptime::from_secs(605)));
    assert_eq!(world.at(605).started(), ["a#1"]);
}

#[test]
fn each_failed_start_waits_twice_as_long_and_the_last_one_is_held() {
    let run = waiting("a#1").starting();
    let mut before = None;
    let mut waits = Vec::new();
    for tried in 1..=MAX_TRIES {
        let next = BackOff::after(before.as_ref(), Uptime::from_secs(100), "no");
        let change = next.consequence(&run);
        waits.push(next.until.as_micros() / 1_000_000 - 100);
        let Change::State { from, state, why, .. } = change else { panic!("{change:?}") };
        assert_eq!(from.as_ref(), Some(&run.state));
        assert_eq!(matches!(state, QueueState::Held { .. }), tried == MAX_TRIES);
        assert!(why.contains("no"), "{why}");
        before = Some(next);
    }
    assert_eq!(waits, [5, 10, 20, 40, 80]);
    let until = Uptime::MAX;
    let many = BackOff { tries: u32::MAX, until, why: "no".to_owned() };
    let next = BackOff::after(Some(&many), until, "no");
    assert_eq!(next, many);
}

#[test]
fn a_start_that_could_not_be_asked_for_is_put_off_as_well() {
    let mut world = World::new([waiting("a#1").starting()]);
    let why = "the unit is masked".to_owned();
    let back_off = BackOff { tries: 1, until: Uptime::from_secs(605), why };
    world.state.back_off.insert(run_id("a#1"), back_off);
    assert_eq!(world.started(), [""; 0]);
    assert_eq!(world.decide().report.next_decision, Some(Uptime::from_secs(605)));
    assert_eq!(world.at(605).started(), ["a#1"]);
}

#[test]
fn a_run_whose_last_attempt_is_still_being_stopped_is_not_started_before_that_is_done() {
    let mut world = World::new([waiting("a#1")]);
    world.state.busy.insert(experiment("a"), Busy::Stopping);
    assert_eq!(world.started(), [""; 0], "its unit is down already, and the stop not yet done");
    assert_eq!(world.gates_of("a#1"), ["unit"]);
    world.state.busy.clear();
    assert_eq!(world.started(), ["a#1"]);
}
