//! Stops of units.

use bij_core::port::Change;
use bij_core::{ActiveState, Cause, Order, RunEnd, Uptime};

use crate::policy::testing::*;
use crate::policy::{Action, Busy, LastAttempt, MissingUnit, StopRequest, UntrackedUnit};

fn stops(world: &World) -> Vec<(String, String)> {
    let stops = world.decide().actions.into_iter().filter_map(|action| match action {
        Action::Stop { experiment, order } => Some((experiment.to_string(), order.by)),
        Action::Close { .. } | Action::Change(_) | Action::Start { .. } => None,
    });
    stops.collect()
}

#[test]
fn a_stop_request_is_carried_out_until_the_unit_is_down() {
    let mut world = World::new([waiting("a#1").running()]);
    let request =
        StopRequest { order: Order::stop("bij stop by alice"), not_before: Uptime::from_secs(0) };
    world.state.stops.insert(experiment("a"), request);
    assert_eq!(stops(&world), [("a".to_owned(), "bij stop by alice".to_owned())]);
    world.state.busy.insert(experiment("a"), Busy::Stopping);
    assert_eq!(stops(&world), []);
    world.state.busy.clear();
    world.seen.units.clear();
    assert_eq!(stops(&world), []);
}

#[test]
fn a_stop_request_that_failed_is_delayed() {
    let mut world = World::new([waiting("a#1").running()]);
    let request = StopRequest { order: Order::stop("x"), not_before: Uptime::from_secs(601) };
    world.state.stops.insert(experiment("a"), request);
    assert_eq!(stops(&world), []);
    assert_eq!(stops(&world.at(601)).len(), 1);
}

#[test]
fn a_unit_whose_run_was_put_back_is_stopped_and_one_from_elsewhere_is_left_alone() {
    for unwanted in [true, false] {
        let mut world = World::new([waiting("a#1")]);
        world.unit("a", &ActiveState::Active, "running");
        let group = "default".parse().unwrap();
        let claim = waiting("a#1").terms.claim;
        world.seen.untracked_units.push(UntrackedUnit {
            run: run_id("a#1"),
            group,
            claim,
            unwanted,
        });
        assert_eq!(stops(&world).len(), usize::from(unwanted));
        assert_eq!(world.gates_of("a#1"), ["unit"]);
    }
}

#[test]
fn a_requested_stop_is_carried_out_by_any_coordinator() {
    let mut world = World::new([waiting("a#1").running().to_be_stopped_by("alice")]);
    assert_eq!(stops(&world), [("a".to_owned(), "alice".to_owned())]);
    let request = StopRequest { order: Order::stop("alice"), not_before: Uptime::from_secs(605) };
    world.state.stops.insert(experiment("a"), request);
    assert_eq!(stops(&world), [], "the last try has failed");
    world.state.stops.clear();
    world.state.busy.insert(experiment("a"), Busy::Stopping);
    assert_eq!(stops(&world), []);
}

#[test]
fn a_run_stopped_without_a_record_ends_in_the_name_of_the_requester() {
    let mut world = World::new([waiting("a#1").running().to_be_stopped_by("alice")]);
    world.seen.units.clear();
    let last = LastAttempt::Ended(Cause::Exit);
    world.seen.missing_units.insert(
        run_id("a#1"),
        MissingUnit { last, since: world.seen.now.uptime, order: None, restart_after: None },
    );
    let end = Change::End { run: run_id("a#1"), end: RunEnd::Stopped, by: "alice".to_owned() };
    assert_eq!(world.decide().actions, [Action::Change(end)]);
}
