//! Each gate for itself: slots, memory, GPU, pauses, time.

use bij_core::port::Sample;
use bij_core::queue::{ClosedGate, Delay, GoingDown, GpuClaim, Group, NotBefore, Pause};
use bij_core::{ActiveState, Bytes, Percent, TimeSpan, Timestamp, Uptime};

use crate::Now;
use crate::policy::testing::*;
use crate::policy::{StopRequest, Unreachable, UntrackedUnit, closed_gates};

#[test]
fn no_more_are_let_start_than_there_are_slots() {
    let world = World::new(["a#1", "b#1", "c#1"].map(waiting)).slots(2);
    assert_eq!(world.started(), ["a#1", "b#1"]);
    assert_eq!(world.gate("c#1", "slots"), ClosedGate::Slots { taken: 2, slots: 2 });
}

#[test]
fn what_came_from_elsewhere_takes_a_slot_and_its_claim() {
    let mut world = World::new([waiting("a#1").memory(gib(10)), waiting("b#1")]).slots(2);
    world.unit("x", &ActiveState::Active, "running");
    world.seen.untracked_units.push(UntrackedUnit {
        run: run_id("x#4"),
        group: "default".parse().unwrap(),
        claim: waiting("x#4").memory(gib(35)).terms.claim,
        unwanted: false,
    });
    assert_eq!(world.started(), ["b#1"]);
    assert_eq!(
        world.gate("a#1", "memory"),
        ClosedGate::Memory { claim: gib(10), free: gib(5), budget: gib(40) }
    );
}

#[test]
fn a_group_has_slots_of_its_own() {
    let mut world =
        World::new([waiting("a#1").group("gpu"), waiting("b#1").group("gpu"), waiting("c#1")]);
    let name: bij_core::queue::GroupName = "gpu".parse().unwrap();
    let group = Group { name: name.clone(), slots: Some(1), paused: None };
    world.state.groups.insert(name.clone(), group);
    assert_eq!(world.started(), ["a#1", "c#1"]);
    assert_eq!(
        world.gate("b#1", "group-slots"),
        ClosedGate::GroupSlots { group: name, taken: 1, slots: 1 }
    );
}

#[test]
fn an_experiment_has_one_unit() {
    let world = World::new([waiting("a#1"), waiting("a#2"), waiting("b#1").at_once()]);
    assert_eq!(world.started(), ["b#1", "a#1"]);
    assert_eq!(
        world.gate("a#2", "same-experiment"),
        ClosedGate::SameExperiment { run: run_id("a#1") }
    );
    let world = World::new([waiting("a#1").running(), waiting("a#2").at_once()]);
    assert_eq!(world.gates_of("a#2"), ["same-experiment"]);
}

#[test]
fn claims_stay_within_the_budget() {
    let claim = |run| waiting(run).memory(gib(16));
    let world = World::new(["a#1", "b#1", "c#1"].map(claim));
    assert_eq!(world.started(), ["a#1", "b#1"]);
    assert_eq!(
        world.gate("c#1", "memory"),
        ClosedGate::Memory { claim: gib(16), free: gib(8), budget: gib(40) }
    );
}

#[test]
fn the_machine_must_have_the_memory_and_the_reserve() {
    let mut world = World::new([waiting("a#1").memory(gib(8)), waiting("b#1").memory(gib(8))]);
    world.seen.sample = Sample::new(gib(64), gib(12));
    assert_eq!(world.started(), ["a#1"]);
    // What has been promised to the first one is not there for the second.
    assert_eq!(
        world.gate("b#1", "memory-available"),
        ClosedGate::MemoryAvailable { need: gib(9), available: gib(4) }
    );
    assert!(world.decide().report.next_decision.is_some(), "no event tells when memory is freed");
}

#[test]
fn nothing_starts_while_the_machine_waits_for_memory() {
    let mut world = World::new([waiting("a#1")]);
    world.seen.sample = Sample::new(gib(64), gib(60)).with_pressure(Percent::new(21));
    let gate = ClosedGate::MemoryPressure { some: Percent::new(21), at_most: Percent::new(20) };
    assert_eq!(world.gate("a#1", "memory-pressure"), gate);
    world.seen.sample = Sample::new(gib(64), gib(60)).with_pressure(Percent::new(20));
    assert_eq!(world.started(), ["a#1"]);
}

#[test]
fn an_unreadable_value_is_reported_and_closes_no_gate() {
    let unread = |what: &str| bij_core::port::BoardReadError {
        what: what.to_owned(),
        why: "gone".to_owned(),
    };
    let mut world = World::new([waiting("a#1").memory(gib(41)), waiting("b#1").memory(gib(8))]);
    world.seen.sample.memory_total = Err(unread("MemTotal"));
    world.seen.sample.memory_available = Err(unread("MemAvailable"));
    let decision = world.decide();
    assert_eq!(started(&decision), ["b#1"]);
    assert_eq!(
        decision.report.troubles,
        ["cannot read MemTotal: gone", "cannot read MemAvailable: gone"]
    );
}

#[test]
fn a_run_that_claims_the_gpu_exclusively_gets_it_alone() {
    let world = World::new([
        waiting("a#1").gpu(GpuClaim::Shared).running(),
        waiting("b#1").gpu(GpuClaim::Exclusive),
        waiting("c#1").gpu(GpuClaim::Shared),
        waiting("d#1"),
    ]);
    assert_eq!(world.started(), ["c#1", "d#1"]);
    assert_eq!(world.gate("b#1", "gpu"), ClosedGate::Gpu { used_by: vec![run_id("a#1")] });
    let world = World::new([
        waiting("a#1").gpu(GpuClaim::Exclusive).running(),
        waiting("b#1").gpu(GpuClaim::Shared),
        waiting("c#1"),
    ]);
    assert_eq!(world.started(), ["c#1"]);
    assert_eq!(world.gates_of("b#1"), ["gpu"]);
}

#[test]
fn held_and_paused_runs_wait_and_name_the_requester() {
    let mut world = World::new([waiting("a#1").held(), waiting("b#1").group("g"), waiting("c#1")]);
    let pause = |by: &str| Some(Pause { by: by.to_owned(), since: now(3).at });
    let name: bij_core::queue::GroupName = "g".parse().unwrap();
    let group = Group { name: name.clone(), slots: None, paused: pause("carol") };
    world.state.groups.insert(name, group);
    assert_eq!(world.started(), ["c#1"]);
    assert_eq!(world.gates_of("a#1"), ["hold"]);
    assert_eq!(world.gates_of("b#1"), ["paused"]);
    world.state.paused = pause("dave");
    assert_eq!(world.started(), [""; 0]);
    assert_eq!(world.gates_of("b#1"), ["paused", "paused"]);
    assert!(world.decide().report.shut);
}

#[test]
fn time_opens_its_gates_and_is_asked_for() {
    let soon = waiting("a#1").with(|run| run.terms.not_before = Some(NotBefore::At(now(630).at)));
    let world = World::new([soon.clone()]);
    assert_eq!(world.gates_of("a#1"), ["not-before"]);
    assert_eq!(world.decide().report.next_decision, Some(Uptime::from_secs(630)));
    assert_eq!(World::new([soon]).at(630).started(), ["a#1"]);
    // The clock may be set meanwhile, so a far time is not waited for in one go.
    let late =
        waiting("a#1").with(|run| run.terms.not_before = Some(NotBefore::At(now(100_000).at)));
    assert_eq!(World::new([late]).decide().report.next_decision, Some(Uptime::from_secs(660)));
}

#[test]
fn the_end_of_a_delay_is_reported_by_the_current_time_of_day() {
    let Now { at, uptime } = now(600);
    let delay = Delay::new(TimeSpan::from_secs(3600), BOOT, at, uptime);
    let run = waiting("a#1").with(|run| run.terms.not_before = Some(NotBefore::Delay(delay)));
    let mut world = World::new([run.clone()]).at(700);
    assert_eq!(world.gate("a#1", "not-before"), ClosedGate::NotBefore { at: delay.at });
    let micros = |at: Timestamp, set: i64| Timestamp::from_micros(at.as_micros() + set);
    // Two clocks are never read at once.
    world.seen.now.at = micros(world.seen.now.at, 20);
    assert_eq!(world.gate("a#1", "not-before"), ClosedGate::NotBefore { at: delay.at });
    let set = -900_000_000_000_000;
    world.seen.now.at = micros(now(700).at, set);
    let at = micros(delay.at, set);
    assert_eq!(world.gate("a#1", "not-before"), ClosedGate::NotBefore { at });
    assert_eq!(World::new([run]).at(4200).started(), ["a#1"]);
}

#[test]
fn right_after_the_boot_nothing_starts_for_as_long_as_is_set() {
    let mut world = World::new([waiting("a#1"), waiting("b#1").at_once()]).at(20);
    world.state.settings.boot_grace = Some(TimeSpan::from_secs(30));
    assert_eq!(world.started(), ["b#1"]);
    assert_eq!(
        world.gate("a#1", "boot-grace"),
        ClosedGate::BootGrace { left: TimeSpan::from_secs(10) }
    );
    assert_eq!(world.decide().report.next_decision, Some(Uptime::from_secs(30)));
    assert_eq!(world.at(30).started(), ["b#1", "a#1"]);
}

#[test]
fn all_closed_gates_are_reported_not_only_the_first() {
    let mut world = World::new([
        waiting("x#1").running().memory(gib(39)).gpu(GpuClaim::Exclusive),
        waiting("a#1").held().memory(gib(8)).gpu(GpuClaim::Shared).after(&["y"]),
    ])
    .slots(1);
    world.seen.sample = Sample::new(gib(64), Bytes::new(0)).with_pressure(Percent::HUNDRED);
    assert_eq!(
        world.gates_of("a#1"),
        ["hold", "slots", "memory", "memory-available", "memory-pressure", "gpu", "dependency"]
    );
}

#[test]
fn a_start_from_elsewhere_is_judged_in_its_turn() {
    let world = World::new([waiting("a#1"), waiting("b#1")]).slots(1);
    assert!(closed_gates(&world.state, &world.seen, &waiting("a#1").position(1)).is_empty());
    let closed = closed_gates(&world.state, &world.seen, &waiting("b#1").position(2));
    assert_eq!(closed, [ClosedGate::Slots { taken: 1, slots: 1 }]);
    // What its own unit takes does not stand in its way.
    let mut world = World::new([waiting("a#1")]).slots(1);
    world.unit("a", &ActiveState::Activating, "condition");
    assert!(closed_gates(&world.state, &world.seen, &waiting("a#1")).is_empty());
}

#[test]
fn an_unreachable_manager_is_a_gate_beside_the_others() {
    let mut world = World::new([
        waiting("r#1").running(),
        waiting("s#1").starting(),
        waiting("a#1").after(&["b"]),
        waiting("h#1").held(),
        waiting("n#1").at_once(),
    ]);
    world.state.paused = Some(Pause { by: "bob".to_owned(), since: now(1).at });
    world.seen.units.clear();
    let why = "the service manager cannot be reached".to_owned();
    world.seen.unreachable = Some(Unreachable { since: now(590).at, why: why.clone() });
    let decision = world.decide();
    assert_eq!(decision.actions, [], "what is up is not known, so nothing is ended nor started");
    assert!(decision.report.shut);
    assert_eq!(world.gates_of("a#1"), ["manager", "paused", "dependency"]);
    assert_eq!(world.gates_of("h#1"), ["manager", "hold", "paused"]);
    assert_eq!(world.gates_of("n#1"), ["manager"], "and no run passes it");
    assert_eq!(world.gates_of("s#1"), ["manager"], "one that was let start waits for it as well");
    assert!(!decision.report.waiting.contains_key(&run_id("r#1")));
    let waiting_on = &decision.report.waiting[&run_id("n#1")][0];
    assert_eq!((waiting_on.since, waiting_on.gate.to_string()), (now(590).at, why));
    world.seen.unreachable = None;
    assert_eq!(world.started(), ["s#1", "n#1"]);
}

#[test]
fn a_start_that_comes_from_a_manager_is_not_kept_waiting_for_it() {
    let mut world = World::new([waiting("a#1")]);
    let why = "the bus is gone".to_owned();
    world.seen.unreachable = Some(Unreachable { since: now(590).at, why });
    let run = &world.state.runs[&run_id("a#1")];
    assert_eq!(closed_gates(&world.state, &world.seen, run), []);
}

#[test]
fn nothing_is_started_while_something_goes_down_and_what_is_up_is_looked_after() {
    let mut world =
        World::new([waiting("r#1").running(), waiting("s#1").starting(), waiting("n#1").at_once()]);
    let wish = StopRequest { order: bij_core::Order::stop("bob"), not_before: now(1).uptime };
    world.state.stops.insert(experiment("r"), wish);
    for what in [GoingDown::Coordinator, GoingDown::Machine] {
        world.seen.going_down.insert(what);
        assert_eq!(world.started(), [""; 0]);
        assert_eq!(world.decide().actions.len(), 1, "the stop");
    }
    assert_eq!(world.gates_of("n#1"), ["going-down", "going-down"]);
    assert_eq!(world.gates_of("s#1"), ["going-down", "going-down"]);
    assert!(world.decide().report.shut);
    let run = &world.state.runs[&run_id("n#1")];
    assert_eq!(closed_gates(&world.state, &world.seen, run), [], "who is asked answers as ever");
}
