//! The guard of the GPU's memory.

use bij_core::port::Change;
use bij_core::queue::{EventKind, QueuedRun};
use bij_core::{ActiveState, Cause, Order, OrderKind, RunEnd, TimeSpan, Uptime};

use crate::policy::testing::*;
use crate::policy::{Action, Busy, Decision, GpuUse, LastAttempt, MissingUnit};

/// An experiment that may have 6 GiB and has so much.
fn has(world: &mut World, seconds: u32, used: u64) -> Decision {
    world.seen.now = now(seconds);
    world.seen.gpu_memory.insert(experiment("a"), GpuUse { used: gib(used), limit: gib(6) });
    let decision = world.decide();
    world.carry_out(decision.clone());
    decision
}

fn stopped(decision: &Decision) -> Option<&Order> {
    decision.actions.iter().find_map(|action| match action {
        Action::Stop { order, .. } => Some(order),
        Action::Close { .. } | Action::Change(_) | Action::Start { .. } => None,
    })
}

#[test]
fn an_experiment_over_its_limit_for_too_long_is_stopped_with_the_reason() {
    let mut world = World::new([waiting("a#1").running()]);
    assert_eq!(has(&mut world, 600, 6).actions, [], "as much as it may");
    let first = has(&mut world, 602, 7);
    assert_eq!(first.actions, []);
    assert_eq!(first.report.next_decision, Some(Uptime::from_secs(612)));
    assert_eq!(has(&mut world, 611, 8).actions, []);
    let last = has(&mut world, 612, 7);
    let order = stopped(&last).expect("ten seconds are over");
    assert_eq!(order.kind, OrderKind::GpuMemory);
    let reason = "uses 7.0G of the GPU's memory, for 10s more than its limit of 6.0G";
    assert_eq!(order.by, format!("the coordinator: a {reason}"));
    let Action::Change(Change::Note { kind, data, .. }) = &last.actions[0] else {
        panic!("{:?}", last.actions)
    };
    assert_eq!((*kind, data["text"].as_str()), (EventKind::Health, reason));
}

#[test]
fn what_was_given_back_in_time_is_forgotten() {
    let mut world = World::new([waiting("a#1").running()]);
    has(&mut world, 600, 7);
    has(&mut world, 605, 5);
    assert_eq!(has(&mut world, 609, 7).actions, []);
    assert_eq!(has(&mut world, 618, 7).actions, [], "it counts anew");
    assert!(stopped(&has(&mut world, 619, 7)).is_some());
}

#[test]
fn an_experiment_that_is_down_or_stopping_is_left_alone() {
    let mut world = World::new([waiting("a#1").running()]);
    world.state.settings.gpu_memory_grace = Some(TimeSpan::default());
    world.state.busy.insert(experiment("a"), Busy::Stopping);
    assert_eq!(has(&mut world, 600, 7).actions, []);
    world.state.busy.clear();
    world.seen.units.clear();
    assert_eq!(stopped(&has(&mut world, 601, 7)), None, "a reading from before");
}

#[test]
fn an_unqueued_experiment_is_guarded_as_well() {
    let mut world = World::new([]);
    world.unit("a", &ActiveState::Active, "running");
    world.state.settings.gpu_memory_grace = Some(TimeSpan::default());
    assert!(stopped(&has(&mut world, 600, 7)).is_some());
}

#[test]
fn an_experiment_that_waits_for_its_restart_uses_nothing() {
    let mut world = World::new([waiting("a#1").running()]);
    world.unit("a", &ActiveState::Activating, "auto-restart-queued");
    world.state.settings.gpu_memory_grace = Some(TimeSpan::default());
    assert_eq!(stopped(&has(&mut world, 600, 7)), None);
}

/// One that was stopped for it ten seconds ago, and may be restarted after so long.
fn stopped_for_it(run: QueuedRun, last: LastAttempt, restart_after: Option<u32>) -> World {
    let mut world = World::new([run.running(), waiting("b#1")]).slots(1);
    world.seen.units.clear();
    let restart_after = restart_after.map(TimeSpan::from_secs);
    let order = Some(OrderKind::GpuMemory);
    let found = MissingUnit { last, since: Uptime::from_secs(590), order, restart_after };
    world.seen.missing_units.insert(run_id("a#1"), found);
    world
}

#[test]
fn a_stopped_run_is_requeued_after_its_delay_before_all_others() {
    let ended = LastAttempt::Ended(Cause::GpuMemory);
    let mut world = stopped_for_it(waiting("a#1"), ended, Some(15));
    let decision = world.decide();
    assert_eq!(decision.actions, [], "it keeps its slot, as one does that systemd restarts");
    assert_eq!(decision.report.next_decision, Some(Uptime::from_secs(605)));
    world.seen.now = now(605);
    let decision = world.decide();
    world.carry_out(decision);
    assert_eq!(world.started(), ["a#1"], "b#1 is older");
}

#[test]
fn a_run_that_crashes_while_it_is_being_stopped_is_requeued_as_well() {
    for last in [LastAttempt::Ended(Cause::OomKill), LastAttempt::Open] {
        let mut world = stopped_for_it(waiting("a#1"), last, Some(5));
        let decision = world.decide();
        world.carry_out(decision);
        assert_eq!(world.started(), ["a#1"], "{last:?}");
    }
}

#[test]
fn a_run_with_used_up_restarts_gives_up_because_of_gpu_memory() {
    let ended = LastAttempt::Ended(Cause::GpuMemory);
    let world = stopped_for_it(waiting("a#1"), ended, None);
    let by = "it exceeded its limit of the GPU's memory, and its restarts are used up".to_owned();
    let end = Change::End { run: run_id("a#1"), end: RunEnd::GaveUp, by };
    assert_eq!(world.decide().actions, [Action::Change(end)]);
}

#[test]
fn a_run_with_a_requested_stop_is_not_requeued() {
    let ended = LastAttempt::Ended(Cause::GpuMemory);
    let world = stopped_for_it(waiting("a#1").to_be_stopped_by("alice"), ended, Some(5));
    let end = Change::End { run: run_id("a#1"), end: RunEnd::Stopped, by: "alice".to_owned() };
    assert_eq!(world.decide().actions, [Action::Change(end)]);
}
