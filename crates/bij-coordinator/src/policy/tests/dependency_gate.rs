//! The dependency gate.

use bij_core::queue::ClosedGate;
use bij_core::{RunEnd, RunState};

use crate::policy::testing::*;

fn ended(world: &mut World, run: &str, state: Option<RunState>) {
    world.seen.others.insert(run.parse().unwrap(), state);
}

#[test]
fn a_run_waits_for_the_success_of_another() {
    let mut world = World::new([waiting("b#1").after(&["a"])]);
    let unmet = |ended| ClosedGate::Dependency { on: "a".parse().unwrap(), ended };
    assert_eq!(world.gate("b#1", "dependency"), unmet(None), "it may still come");
    ended(&mut world, "a", Some(RunState::Ended(RunEnd::GaveUp)));
    assert_eq!(world.gate("b#1", "dependency"), unmet(Some(RunEnd::GaveUp)));
    ended(&mut world, "a", Some(RunState::Ended(RunEnd::Success)));
    assert_eq!(world.started(), ["b#1"]);
}

#[test]
fn an_end_however_is_enough_where_that_is_asked_for() {
    let mut world = World::new([waiting("b#1").after(&["end:a#2"])]);
    assert_eq!(world.gates_of("b#1"), ["dependency"]);
    ended(&mut world, "a#2", Some(RunState::Ended(RunEnd::Cancelled)));
    assert_eq!(world.started(), ["b#1"]);
}

#[test]
fn one_of_several_is_enough_where_any_is_asked_for() {
    let mut world = World::new([waiting("c#1").after_any(&["a", "b"])]);
    assert_eq!(world.gates_of("c#1"), ["dependency", "dependency"]);
    ended(&mut world, "b", Some(RunState::Ended(RunEnd::Success)));
    assert_eq!(world.started(), ["c#1"]);
    let mut world = World::new([waiting("c#1").after(&["a", "b"])]);
    ended(&mut world, "b", Some(RunState::Ended(RunEnd::Success)));
    assert_eq!(world.gates_of("c#1"), ["dependency"]);
}

#[test]
fn the_newest_run_counts_even_while_an_older_one_is_in_the_queue() {
    let mut world = World::new([waiting("a#1").held(), waiting("b#1").after(&["a"])]);
    assert_eq!(world.gates_of("b#1"), ["dependency"]);
    ended(&mut world, "a", Some(RunState::Ended(RunEnd::Success)));
    assert_eq!(world.started(), ["b#1"], "a#2 has come and gone");
}
