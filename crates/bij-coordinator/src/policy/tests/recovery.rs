//! Recovery of runs after the machine or their unit went down.

use bij_core::port::Change;
use bij_core::queue::{QueueState, QueuedRun};
use bij_core::spec::OnReboot;
use bij_core::{ActiveState, Cause, RunEnd, Uptime};

use crate::policy::testing::*;
use crate::policy::{Action, Interruption, LastAttempt, MissingUnit};

fn interrupt(world: &mut World, run: &str, on_reboot: Option<OnReboot>) {
    let how = Interruption::Running { cause: Cause::PowerLoss, on_reboot };
    world.state.interrupted.insert(run_id(run), how);
    world.seen.units.clear();
}

fn state_of<'a>(world: &'a World, run: &str) -> &'a QueueState {
    &world.state.runs[&run_id(run)].state
}

#[test]
fn after_a_power_cut_the_queue_is_unchanged_and_interrupted_runs_go_first() {
    let runs = ["a#1", "b#1"].map(|run| waiting(run).running());
    let rest = ["c#1", "d#1"].map(waiting);
    let mut world = World::new(runs.into_iter().chain(rest)).slots(2);
    for run in ["a#1", "b#1"] {
        interrupt(&mut world, run, Some(OnReboot::Resume));
    }
    assert_eq!(world.started(), ["a#1", "b#1"], "in the same decision");
    let mut world = world.slots(0);
    let decision = world.decide();
    world.carry_out(decision);
    let order: Vec<_> = world.state.in_order().iter().map(|run| run.run.to_string()).collect();
    assert_eq!(order, ["a#1", "b#1", "c#1", "d#1"]);
}

#[test]
fn each_definition_says_what_a_reboot_does_to_its_run() {
    let runs = ["a#1", "b#1", "c#1", "d#1"].map(|run| waiting(run).running());
    let mut world = World::new(runs);
    interrupt(&mut world, "a#1", Some(OnReboot::Requeue));
    interrupt(&mut world, "b#1", Some(OnReboot::Resume));
    interrupt(&mut world, "c#1", Some(OnReboot::Hold));
    interrupt(&mut world, "d#1", None);
    assert_eq!(world.started(), ["b#1", "a#1"]);
    let mut world = world.slots(0);
    let decision = world.decide();
    world.carry_out(decision);
    let order: Vec<_> = world.state.in_order().iter().map(|run| run.run.to_string()).collect();
    assert_eq!(order, ["b#1", "a#1", "c#1", "d#1"]);
    for held in ["c#1", "d#1"] {
        assert!(matches!(state_of(&world, held), QueueState::Held { .. }), "{held}");
    }
}

#[test]
fn a_run_that_had_not_begun_waits_as_before() {
    let mut world = World::new([waiting("x#1"), waiting("a#1").starting()]).slots(0);
    world.state.interrupted.insert(run_id("a#1"), Interruption::BeforeItBegan);
    let decision = world.decide();
    world.carry_out(decision);
    assert_eq!(*state_of(&world, "a#1"), QueueState::Waiting);
    let order: Vec<_> = world.state.in_order().iter().map(|run| run.run.to_string()).collect();
    assert_eq!(order, ["x#1", "a#1"]);
}

fn lost(run: QueuedRun, unit: &ActiveState, last: LastAttempt) -> World {
    let id = run.run.clone();
    let mut world = World::new([run.running()]);
    world.unit(id.experiment.as_str(), unit, "dead");
    world.seen.missing_units.insert(
        id,
        MissingUnit { last, since: Uptime::from_secs(590), order: None, restart_after: None },
    );
    world
}

fn ends(world: &World) -> Vec<(String, RunEnd)> {
    let ends = world.decide().actions.into_iter().filter_map(|action| match action {
        Action::Change(Change::End { run, end, by: _ }) => Some((run.to_string(), end)),
        _ => None,
    });
    ends.collect()
}

#[test]
fn a_run_whose_unit_has_failed_for_good_has_given_up() {
    let crashed = LastAttempt::Ended(Cause::Signal);
    for unit in [ActiveState::Failed, ActiveState::Inactive] {
        let world = lost(waiting("a#1"), &unit, crashed);
        assert_eq!(ends(&world), [("a#1".to_owned(), RunEnd::GaveUp)], "{unit}");
    }
    let world = lost(waiting("a#1"), &ActiveState::Activating, crashed);
    assert_eq!(ends(&world), [], "the next attempt is due");
}

#[test]
fn a_run_that_is_just_being_restarted_has_not_given_up() {
    let crashed = LastAttempt::Ended(Cause::Exit);
    let mut world = lost(waiting("a#1"), &ActiveState::Activating, crashed);
    world.unit("a", &ActiveState::Activating, "condition");
    assert_eq!(ends(&world), [], "it stands at the gate");
    world.unit("a", &ActiveState::Inactive, "dead");
    let unit = world.seen.units.values_mut().next().unwrap();
    unit.start_due = true;
    assert_eq!(ends(&world), [], "it is stopped before it is started");
}

#[test]
fn an_unrecorded_end_is_waited_for_but_not_for_ever() {
    let world = lost(waiting("a#1"), &ActiveState::Inactive, LastAttempt::Open);
    assert_eq!(ends(&world), []);
    assert_eq!(world.decide().report.next_decision, Some(Uptime::from_secs(650)));
    assert_eq!(ends(&world.at(650)), [("a#1".to_owned(), RunEnd::GaveUp)]);
}

#[test]
fn a_machine_that_goes_down_ends_no_run() {
    for cause in [Cause::Reboot, Cause::ManagerStop] {
        let last = LastAttempt::Ended(cause);
        let world = lost(waiting("a#1"), &ActiveState::Inactive, last).at(100_000);
        assert_eq!(ends(&world), [], "{cause}");
    }
}
