//! Starting order, and reservations for runs that smaller ones have passed.

use bij_core::port::{Change, Sample};
use bij_core::queue::{ClosedGate, GpuClaim, QueuedRun};

use crate::policy::Action;
use crate::policy::testing::*;

#[test]
fn priority_goes_before_position_and_position_before_name() {
    let world = World::new([
        waiting("a#1").position(3),
        waiting("b#1").position(2),
        waiting("c#1").position(9).priority(1),
        waiting("d#1").position(2),
    ]);
    assert_eq!(world.started(), ["c#1", "b#1", "d#1", "a#1"]);
}

/// A large run waits behind one that runs, and small ones come behind it.
fn crowd() -> World {
    let small = ["s1#1", "s2#1", "s3#1"].map(|run| waiting(run).memory(gib(4)));
    let first = [waiting("r#1").running().memory(gib(20)), waiting("big#1").memory(gib(30))];
    World::new(first.into_iter().chain(small))
}

#[test]
fn smaller_runs_pass_a_larger_one_and_are_counted() {
    let decision = crowd().decide();
    assert_eq!(started(&decision), ["s1#1", "s2#1", "s3#1"]);
    let counted: Vec<_> = decision
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::Change(Change::Bypassed { run, times }) => Some((run.to_string(), *times)),
            _ => None,
        })
        .collect();
    let big = || "big#1".to_owned();
    assert_eq!(counted, [(big(), 1), (big(), 2), (big(), 3)]);
}

#[test]
fn a_larger_run_is_passed_a_limited_number_of_times_and_then_gets_a_reservation() {
    let mut world = crowd().bypass(2);
    let decision = world.decide();
    assert_eq!(started(&decision), ["s1#1", "s2#1"]);
    let turn = ClosedGate::Turn { of: run_id("big#1") };
    assert_eq!(world.gate("s3#1", "turn"), turn);
    world.carry_out(decision);
    world.end(&run_id("s1#1"));
    world.end(&run_id("s2#1"));
    assert_eq!(world.started(), [""; 0], "the machine drains");
    world.end(&run_id("r#1"));
    assert_eq!(world.started(), ["big#1", "s3#1"]);
}

#[test]
fn a_run_that_claims_none_of_the_lacking_capacity_does_not_wait() {
    let mut world = crowd().bypass(0);
    let free = waiting("t#1").position(9);
    world.state.runs.insert(free.run.clone(), free);
    assert_eq!(world.started(), ["t#1"]);
    assert_eq!(world.gates_of("s1#1"), ["turn"]);
}

#[test]
fn a_stream_of_shared_gpu_runs_does_not_starve_an_exclusive_one() {
    let shared = |run| waiting(run).gpu(GpuClaim::Shared);
    let world = World::new([
        shared("a#1").running(),
        waiting("alone#1").gpu(GpuClaim::Exclusive),
        shared("b#1"),
        shared("c#1"),
    ])
    .bypass(1);
    assert_eq!(world.started(), ["b#1"]);
    assert_eq!(world.gates_of("c#1"), ["turn"]);
}

#[test]
fn no_run_waits_for_one_that_can_never_fit() {
    let mut world = crowd().bypass(0);
    // The budget was lowered after it had been taken in.
    world.state.settings.total_memory = "29G".parse().ok();
    assert_eq!(world.started(), ["s1#1", "s2#1"]);
}

#[test]
fn no_run_waits_for_memory_that_no_experiment_will_free() {
    let mut world = World::new([waiting("big#1").memory(gib(30)), waiting("s#1").memory(gib(4))]);
    world.state.settings.max_bypass = Some(0);
    world.seen.sample = Sample::new(gib(64), gib(10));
    assert_eq!(world.started(), ["s#1"]);
}

#[test]
fn a_run_that_waits_for_something_else_gets_no_reservation() {
    let mut world = crowd().bypass(0);
    let big = world.state.runs.get_mut(&run_id("big#1")).unwrap();
    *big = big.clone().after(&["y"]);
    assert_eq!(world.started(), ["s1#1", "s2#1", "s3#1"]);
}

#[test]
fn runs_that_pass_the_gates_wait_for_no_turn() {
    let mut world = crowd().bypass(0);
    let urgent = waiting("u#1").position(9).memory(gib(8)).at_once();
    world.state.runs.insert(urgent.run.clone(), urgent);
    assert_eq!(world.started(), ["u#1"]);
}

#[test]
fn a_later_run_does_not_take_the_unit_of_an_earlier_one_that_lacks_capacity() {
    let mut world = crowd();
    let sibling = waiting("big#2").position(9);
    world.state.runs.insert(sibling.run.clone(), sibling);
    assert_eq!(world.gate("big#2", "turn"), ClosedGate::Turn { of: run_id("big#1") });
}

#[test]
fn a_run_that_lacks_the_gpu_keeps_its_unit_while_it_waits_for_a_turn() {
    let mut world = World::new([
        waiting("r#1").memory(gib(2)).gpu(GpuClaim::Exclusive).running(),
        waiting("big#1").memory(gib(39)).priority(1),
        waiting("a#1").memory(gib(1)).gpu(GpuClaim::Shared).priority(1),
        waiting("small#1").memory(gib(1)),
        waiting("a#2"),
    ])
    .bypass(1);
    let decision = world.decide();
    assert_eq!(started(&decision), ["small#1"]);
    world.carry_out(decision);
    assert_eq!(world.gates_of("a#1"), ["gpu", "turn"], "the large one is passed no more");
    assert_eq!(world.started(), [""; 0], "what was decided is done");
}

/// Carries the first decision out and expects the second one to start nothing.
fn assert_settles(world: &mut World, first: &[&str]) {
    let decision = world.decide();
    assert_eq!(started(&decision), first);
    world.carry_out(decision);
    assert_eq!(world.started(), [""; 0], "the first decision left nothing to do");
}

#[test]
fn a_run_behind_an_earlier_one_of_its_experiment_waits_for_its_unit_and_not_for_capacity() {
    let mut world = World::new([
        waiting("alone#1").gpu(GpuClaim::Exclusive),
        waiting("a#1").gpu(GpuClaim::Shared),
        waiting("a#2").memory(gib(8)),
        waiting("large#1").memory(gib(24)),
        waiting("b#1").memory(gib(8)),
        waiting("b#2"),
    ]);
    world.seen.sample.memory_available = Ok(gib(32));
    assert_settles(&mut world, &["alone#1", "large#1"]);
    assert_eq!(world.gates_of("a#2"), ["memory-available", "turn"]);
    assert_eq!(world.gate("b#2", "turn"), ClosedGate::Turn { of: run_id("b#1") });
}

/// Runs of one group of one slot; the second wants most of the memory and could have it.
fn full_group(behind: impl IntoIterator<Item = QueuedRun>) -> World {
    let first = [
        waiting("r#1").group("g").memory(gib(1)).running(),
        waiting("a#1").group("g").memory(gib(30)),
    ];
    let mut world = World::new(first.into_iter().chain(behind)).slots(9);
    world.state.settings.groups.insert("g".parse().unwrap(), 1);
    world
}

#[test]
fn a_run_that_waits_for_a_slot_of_its_group_is_kept_the_memory_that_it_claims_and_no_more() {
    let behind = [waiting("b#1").memory(gib(8)), waiting("c#1").memory(gib(2)), waiting("d#1")];
    let mut world = full_group(behind).bypass(0);
    assert_settles(&mut world, &["b#1", "d#1"]);
    assert_eq!(world.gates_of("a#1"), ["group-slots"]);
    assert_eq!(world.gate("c#1", "turn"), ClosedGate::Turn { of: run_id("a#1") });
}

#[test]
fn a_run_that_is_passed_while_its_group_is_full_stays_the_first_that_wants_memory() {
    let behind = [
        waiting("b#1").memory(gib(20)),
        waiting("c#1").memory(gib(35)),
        waiting("c#2").group("other"),
        waiting("d#1").memory(gib(2)),
    ];
    let mut world = full_group(behind).bypass(1);
    assert_settles(&mut world, &["b#1", "c#2"]);
    assert_eq!(world.gates_of("a#1"), ["group-slots", "memory"]);
    assert_eq!(world.gate("d#1", "turn"), ClosedGate::Turn { of: run_id("a#1") });
}
