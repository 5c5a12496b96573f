//! The report about waiting runs.

use crate::policy::testing::*;

fn since(world: &World, run: &str, gate: &str) -> bij_core::Timestamp {
    let report = world.state.last.as_ref().unwrap();
    let waiting = &report.waiting[&run_id(run)];
    waiting.iter().find(|waiting| waiting.gate.name() == gate).unwrap().since
}

#[test]
fn a_gate_is_closed_since_it_was_first_seen_closed() {
    let mut world = World::new([waiting("x#1").running(), waiting("a#1").memory(gib(39))]).slots(1);
    let decision = world.decide();
    world.carry_out(decision);
    assert_eq!(since(&world, "a#1", "slots"), now(600).at);
    let y = waiting("y#1").memory(gib(9)).running();
    world.state.runs.insert(y.run.clone(), y);
    let mut world = world.at(700);
    let decision = world.decide();
    world.carry_out(decision);
    assert_eq!(since(&world, "a#1", "slots"), now(600).at, "though its numbers are others");
    assert_eq!(since(&world, "a#1", "memory"), now(700).at);
}

#[test]
fn a_run_submitted_while_nothing_could_start_waits_since_then() {
    let mut world = World::new([waiting("x#1").running()]).slots(1);
    let decision = world.decide();
    world.carry_out(decision);
    let late = waiting("a#1").with(|run| run.submitted = now(650).at);
    world.state.runs.insert(late.run.clone(), late);
    let mut world = world.at(700);
    let decision = world.decide();
    world.carry_out(decision);
    assert_eq!(since(&world, "a#1", "slots"), now(650).at);
}
