//! What a decision does to the state.

use bij_core::port::{Change, Closing};
use bij_core::queue::{QueueState, Submission};
use bij_core::{
    ActiveState, AttemptEnd, AttemptKey, Cause, Evidence, InvocationId, Order, OrderKind, Percent,
    TimeSpan, Uptime,
};
use proptest::prelude::*;

use super::settled::any_world_of_groups_and_modes;
use crate::policy::testing::*;
use crate::policy::{
    Action, Busy, GpuUse, LastAttempt, MAX_TRIES, MissingUnit, StopRequest, UntrackedUnit, Vitals,
};

/// A way in which the unit of a running run, or the observation of it, is out of the ordinary.
#[derive(Clone, Copy, Debug)]
enum Oddity {
    Down(LastAttempt, Option<OrderKind>, u32),
    Unclosed,
    Stalled,
    Pressed,
    OverGpuMemory,
    StopWanted,
    StopRequested,
    Untracked,
}

fn oddity() -> impl Strategy<Value = Option<Oddity>> {
    let last = prop_oneof![
        Just(LastAttempt::Open),
        prop::sample::select(Cause::ALL.to_vec()).prop_map(LastAttempt::Ended),
    ];
    let order = prop::option::of(prop_oneof![
        Just(OrderKind::Stop),
        Just(OrderKind::Heat),
        Just(OrderKind::GpuMemory),
    ]);
    let down = (last, order, 400..700u32);
    prop::option::of(prop_oneof![
        4 => down.prop_map(|(last, order, since)| Oddity::Down(last, order, since)),
        1 => Just(Oddity::Unclosed),
        1 => Just(Oddity::Stalled),
        1 => Just(Oddity::Pressed),
        1 => Just(Oddity::OverGpuMemory),
        1 => Just(Oddity::StopWanted),
        1 => Just(Oddity::StopRequested),
        1 => Just(Oddity::Untracked),
    ])
}

prop_compose! {
    fn any_odd_world()(
        mut world in any_world_of_groups_and_modes(),
        oddities in prop::collection::vec(oddity(), 30),
        restarts in prop::collection::vec(prop::option::of(0..600u32), 30),
    ) -> World {
        let running: Vec<_> = world.state.running().map(|run| run.run.clone()).collect();
        for (at, (run, oddity)) in running.into_iter().zip(oddities).enumerate() {
            if let Some(oddity) = oddity {
                make_odd(&mut world, &run, oddity, restarts[at]);
            }
        }
        world
    }
}

fn make_odd(world: &mut World, run: &bij_core::RunId, oddity: Oddity, restart_after: Option<u32>) {
    let World { state, seen } = world;
    let experiment = &run.experiment;
    match oddity {
        Oddity::Down(last, order, since) => {
            seen.units.remove(experiment);
            let restart_after = restart_after.map(TimeSpan::from_secs);
            let since = Uptime::from_secs(since);
            seen.missing_units
                .insert(run.clone(), MissingUnit { last, since, order, restart_after });
        }
        Oddity::Unclosed => {
            seen.units.remove(experiment);
            seen.unclosed.push((run.clone(), closing(run)));
        }
        Oddity::Stalled => {
            let stall_after = Some(TimeSpan::default());
            let vitals = Vitals { stall_after, ..Vitals::default() };
            seen.vitals.insert(run.clone(), vitals);
        }
        Oddity::Pressed => {
            let memory_pressure = Some(Percent::new(50));
            let vitals = Vitals { memory_pressure, ..Vitals::default() };
            seen.vitals.insert(run.clone(), vitals);
        }
        Oddity::OverGpuMemory => {
            let (used, limit) = (gib(9), gib(8));
            seen.gpu_memory.insert(experiment.clone(), GpuUse { used, limit });
            state.over_gpu_memory.insert(experiment.clone(), Uptime::from_secs(500));
        }
        Oddity::StopWanted => {
            state.runs.get_mut(run).unwrap().stop = Some("bob".to_owned());
        }
        Oddity::StopRequested => {
            let not_before = Uptime::BOOT;
            let request = StopRequest { order: Order::stop("bob"), not_before };
            state.stops.insert(experiment.clone(), request);
        }
        Oddity::Untracked => {
            let run = state.runs.remove(run).unwrap();
            let (group, claim) = (run.terms.group, run.terms.claim);
            let unit = UntrackedUnit { run: run.run, group, claim, unwanted: true };
            seen.untracked_units.push(unit);
        }
    }
}

fn closing(run: &bij_core::RunId) -> Closing {
    let evidence = Evidence::default();
    Closing {
        experiment: run.experiment.clone(),
        key: AttemptKey { boot: BOOT, invocation: InvocationId::from_bytes([7; 16]) },
        ready: None,
        end: AttemptEnd { at: now(599).at, cause: Cause::Unknown, evidence },
        started: now(500).at,
    }
}

/// Returns whether an action ends or requeues a run that counted as up in the decision.
fn frees_capacity(action: &Action) -> bool {
    match action {
        Action::Change(Change::End { .. }) => true,
        Action::Change(Change::State { from, .. }) => from.as_ref().is_some_and(QueueState::is_up),
        _ => false,
    }
}

proptest! {

    #[test]
    fn deciding_again_after_a_decision_was_carried_out_gives_no_action(
        mut world in any_odd_world(),
    ) {
        let first = world.decide();
        world.state.carry_out(&first);
        let second = world.decide();
        for action in &second.actions {
            prop_assert!(!first.actions.contains(action), "{action:?} is repeated");
        }
        if !first.actions.iter().any(frees_capacity) {
            prop_assert_eq!(&second.actions, &Vec::<Action>::new(), "after {:#?}", first.actions);
        }
        world.state.carry_out(&second);
        let third = world.decide();
        prop_assert_eq!(&third.actions, &Vec::<Action>::new(), "after {:#?}", second.actions);
        world.state.carry_out(&third);
        prop_assert_eq!(world.decide(), third);
    }

    #[test]
    fn a_state_holds_one_run_of_each_experiment_up_whatever_is_carried_out(
        mut world in any_odd_world(),
    ) {
        let decision = world.decide();
        world.state.carry_out(&decision);
        for run in started(&decision) {
            let run = &world.state.runs[&run_id(&run)];
            prop_assert_eq!(&run.state, &QueueState::Starting { boot: BOOT });
            prop_assert_eq!(world.state.busy.get(&run.run.experiment), Some(&Busy::Starting));
        }
        let mut up: Vec<_> = world.state.up().map(|run| &run.run.experiment).collect();
        let count = up.len();
        up.dedup();
        prop_assert_eq!(up.len(), count);
    }
}

#[test]
fn a_run_is_submitted_started_and_over_without_a_store() {
    let mut world = World::new([]).slots(1);
    for _ in 0..2 {
        world.state.submit(&Submission::new(experiment("a"), "me"), &world.seen).unwrap();
    }
    let decision = world.decide();
    assert_eq!(started(&decision), ["a#1"]);
    world.state.carry_out(&decision);
    assert_eq!(world.gates_of("a#2"), ["same-experiment", "slots"]);

    world.state.unit_started(&experiment("a"));
    assert_eq!(world.state.runs[&run_id("a#1")].state, QueueState::Running);
    assert!(world.state.busy.is_empty());

    world.state.run_ended(&run_id("a#1"));
    assert_eq!(world.started(), ["a#2"]);
    world.state.run_ended(&run_id("a#2"));
    let third = world.state.submit(&Submission::new(experiment("a"), "me"), &world.seen).unwrap();
    assert_eq!(third.run, run_id("a#3"), "no number is given twice");
}

#[test]
fn a_slot_that_an_ended_run_frees_is_given_away_by_the_next_decision() {
    let mut world = World::new([waiting("a#1").running(), waiting("b#1")]).slots(1);
    world.seen.units.clear();
    let unit = MissingUnit {
        last: LastAttempt::Ended(Cause::Exit),
        since: Uptime::from_secs(600),
        order: None,
        restart_after: None,
    };
    world.seen.missing_units.insert(run_id("a#1"), unit);
    let decision = world.decide();
    assert_eq!(decision.actions.len(), 1, "{:?}", decision.actions);
    world.state.carry_out(&decision);
    assert!(!world.state.runs.contains_key(&run_id("a#1")));
    let decision = world.decide();
    assert_eq!(started(&decision), ["b#1"]);
    world.state.carry_out(&decision);
    assert_eq!(world.decide().actions, []);
}

#[test]
fn a_start_that_fails_is_delayed_and_then_held() {
    let mut world = World::new([waiting("a#1")]);
    for tried in 1..MAX_TRIES {
        let decision = world.decide();
        assert_eq!(started(&decision), ["a#1"]);
        world.state.carry_out(&decision);
        world.state.start_failed(&run_id("a#1"), world.seen.now.uptime, "no such program");
        assert_eq!(world.gates_of("a#1"), ["back-off"]);
        world = world.at(600 + 100 * tried);
    }
    let decision = world.decide();
    world.state.carry_out(&decision);
    world.state.start_failed(&run_id("a#1"), world.seen.now.uptime, "no such program");
    assert_eq!(world.gates_of("a#1"), ["hold", "back-off"]);
}

#[test]
fn a_stop_is_ordered_once_and_again_if_the_unit_is_still_up_after_it() {
    let mut world = World::new([waiting("a#1").running().to_be_stopped_by("bob")]);
    let decision = world.decide();
    let stop = Action::Stop { experiment: experiment("a"), order: Order::stop("bob") };
    assert_eq!(decision.actions, std::slice::from_ref(&stop));
    world.state.carry_out(&decision);
    assert_eq!(world.decide().actions, []);
    world.state.unit_stopped(&experiment("a"));
    assert_eq!(world.decide().actions, [stop], "its unit is up as before");
    world.unit("a", &ActiveState::Inactive, "dead");
    world.state.run_ended(&run_id("a#1"));
    assert_eq!(world.decide().actions, []);
}

#[test]
fn the_end_of_a_waiting_run_leaves_the_unit_of_another_alone() {
    let mut world = World::new([waiting("a#1"), waiting("a#2")]);
    let decision = world.decide();
    world.state.carry_out(&decision);
    world.state.run_ended(&run_id("a#2"));
    assert_eq!(world.state.busy.get(&experiment("a")), Some(&Busy::Starting));
    assert_eq!(world.decide().actions, []);
}

#[test]
fn an_attempt_that_was_closed_is_closed_again_only_after_its_unit_was_up() {
    let mut world = World::new([waiting("a#1").running()]);
    world.seen.units.clear();
    world.seen.unclosed.push((run_id("a#1"), closing(&run_id("a#1"))));
    let decision = world.decide();
    assert_eq!(decision.actions.len(), 1);
    world.state.carry_out(&decision);
    assert_eq!(world.decide().actions, []);
    world.state.unit_started(&experiment("a"));
    assert_eq!(world.decide().actions.len(), 1);
}
