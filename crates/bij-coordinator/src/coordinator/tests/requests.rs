//! Requests that change runs and groups.

use bij_core::queue::{Dependencies, EventKind, GroupName, QueueState, SlotsFrom};
use bij_core::request::{Act, Edit, GroupSetting, MoveTo, PauseRequest, Submit};
use bij_core::{Outcome, RunEnd, RunState, TimeSpan};
use bij_sim::{Script, ScriptedEnd};

use super::machine::*;
use crate::RequestError;
use crate::policy::SubmitError;

/// One that runs and three that wait.
fn machine() -> Machine {
    let mut machine = Machine::new(1);
    for name in ["r", "a", "b", "c", "d"] {
        machine.define(name, Script::runs());
    }
    machine.submit(&["r", "a", "b", "c"]);
    machine.settle();
    machine
}

fn pause_group(group: &GroupName, paused: bool) -> PauseRequest {
    PauseRequest { group: Some(group.clone()), paused }
}

fn setting(name: &GroupName, slots: Option<u32>) -> GroupSetting {
    GroupSetting { name: name.clone(), slots }
}

fn order(machine: &mut Machine) -> Vec<String> {
    let now = machine.now();
    let queue = machine.coordinator.queue(now);
    queue.iter().map(|listed| listed.experiment.to_string()).collect()
}

#[test]
fn waiting_runs_are_cancelled_and_running_ones_stopped() {
    let mut machine = machine();
    machine.act("a", &Act::Cancel).unwrap();
    assert_eq!(machine.ended("a#1"), Some(RunState::Ended(RunEnd::Cancelled)));
    machine.act("r", &Act::Cancel).unwrap();
    machine.settle();
    assert_eq!(machine.up(), ["b"]);
    assert_eq!(machine.ended("r#1"), Some(RunState::Ended(RunEnd::Cancelled)));
    let again = machine.act("r", &Act::Cancel).unwrap_err();
    assert_eq!(again.to_string(), "r is over: cancelled");
    let unknown = machine.act("a#7", &Act::Cancel).unwrap_err();
    assert_eq!(unknown.to_string(), "there is no run a#7");
}

#[test]
fn a_stop_ends_a_run_and_records_the_requester() {
    let mut machine = machine();
    machine.act("r", &Act::Stop).unwrap();
    machine.settle();
    assert_eq!(machine.ended("r#1"), Some(RunState::Ended(RunEnd::Stopped)));
    assert_eq!(machine.up(), ["a"]);
}

#[test]
fn a_run_that_is_requeued_stops_and_goes_on_later_as_the_same_run() {
    let mut machine = machine();
    machine.act("r", &Act::Hold).unwrap_err();
    let acted = machine.act("r", &Act::Requeue).unwrap();
    assert!(acted[0].changed);
    assert_eq!(machine.state_of("r#1"), Some(QueueState::Waiting), "before it is stopped");
    machine.settle();
    // It goes before all others, so it is the next one.
    assert_eq!(machine.stored()[0], "r#1 running");
    assert_eq!(machine.events(EventKind::AttemptBegun).len(), 2);
    assert_eq!(machine.ended("r#2"), None);
}

#[test]
fn held_runs_are_passed_until_they_are_released() {
    let mut machine = machine();
    let held = machine.act("a", &Act::Hold).unwrap();
    assert!(held[0].changed);
    assert!(!machine.act("a", &Act::Hold).unwrap()[0].changed);
    machine.act("r", &Act::Stop).unwrap();
    machine.settle();
    assert_eq!(machine.up(), ["b"]);
    machine.act("a", &Act::Release).unwrap();
    machine.act("b", &Act::Stop).unwrap();
    machine.settle();
    assert_eq!(machine.up(), ["a"]);
}

#[test]
fn priorities_and_positions_are_given_anew() {
    let mut machine = machine();
    machine.act("c", &Act::Move { to: MoveTo::First }).unwrap();
    assert_eq!(order(&mut machine), ["r", "c", "a", "b"]);
    machine.act("c", &Act::Move { to: MoveTo::Last }).unwrap();
    assert_eq!(order(&mut machine), ["r", "a", "b", "c"]);
    machine.act("c", &Act::Move { to: MoveTo::Before("b#1".parse().unwrap()) }).unwrap();
    assert_eq!(order(&mut machine), ["r", "a", "c", "b"]);
    machine.act("a", &Act::Move { to: MoveTo::Behind("b#1".parse().unwrap()) }).unwrap();
    assert_eq!(order(&mut machine), ["r", "c", "b", "a"]);
    machine.submit(&["d"]);
    assert_eq!(order(&mut machine), ["r", "c", "b", "a", "d"], "the last one comes last");
    machine.act("b", &Act::Prioritize { priority: 5 }).unwrap();
    assert_eq!(order(&mut machine), ["r", "b", "c", "a", "d"]);
    machine.act("d", &Act::Move { to: MoveTo::Behind("b#1".parse().unwrap()) }).unwrap();
    assert_eq!(order(&mut machine), ["r", "b", "d", "c", "a"], "with its priority");
    let itself = machine.act("d", &Act::Move { to: MoveTo::Before("d#1".parse().unwrap()) });
    assert_eq!(itself.unwrap_err().to_string(), "d#1 cannot be put beside d#1");
    machine.kill();
    machine.settle();
    assert_eq!(order(&mut machine), ["r", "b", "d", "c", "a"], "all of it is in the store");
}

#[test]
fn several_runs_keep_the_order_in_which_they_are_named() {
    let mut machine = machine();
    let runs = ["c", "b"].map(|run| run.parse().unwrap());
    let now = machine.now();
    let first = Act::Move { to: MoveTo::First };
    machine.coordinator.act(&runs, &first, "bob", now).unwrap();
    assert_eq!(order(&mut machine), ["r", "c", "b", "a"]);
    let one_that_runs = ["a", "r"].map(|run| run.parse().unwrap());
    let refused = machine.coordinator.act(&one_that_runs, &first, "bob", now).unwrap_err();
    assert_eq!(refused.to_string(), "r#1 is running and no longer waits");
    assert_eq!(order(&mut machine), ["r", "c", "b", "a"], "all of them or none");
}

#[test]
fn terms_are_edited_within_the_same_bounds_as_a_submission() {
    let mut machine = machine();
    let now = machine.now();
    let mut edit =
        |run: &str, edit: Edit| machine.coordinator.edit(&run.parse().unwrap(), &edit, "bob", now);
    let after = |on: &str| Some(Dependencies::All(vec![on.parse().unwrap()]));
    let acted = edit("a", Edit { after: after("b"), ..Edit::default() }).unwrap();
    assert!(acted.changed);
    let circle = edit("b", Edit { after: after("a"), ..Edit::default() }).unwrap_err();
    assert!(matches!(circle, RequestError::Submit(SubmitError::Cycle(_))), "{circle}");
    let group = Edit { group: "gpus".parse().ok(), ..Edit::default() };
    assert!(matches!(edit("a", group), Err(RequestError::NoSuchGroup { .. })));
    let running = edit("r", Edit { priority: Some(3), ..Edit::default() });
    assert!(matches!(running, Err(RequestError::NotWaiting { .. })));
    let urgent = Edit { now: Some(true), after: after("r"), ..Edit::default() };
    edit("c", urgent).unwrap();
    machine.settle();
    assert_eq!(machine.up(), ["c", "r"]);
}

#[test]
fn groups_are_set_up_paused_and_taken_down() {
    let mut machine = machine();
    let group: GroupName = "gpus".parse().unwrap();
    let now = machine.now();
    let coordinator = &mut machine.coordinator;
    let nothing = coordinator.set_group(&setting(&group, Some(0)), "bob", now).unwrap_err();
    assert_eq!(nothing.to_string(), "group gpus with 0 slots would never run anything");
    assert!(
        coordinator.pause(&pause_group(&group, true), "bob", now).is_err(),
        "the group is unknown"
    );
    assert_eq!(
        coordinator.set_group(&setting(&group, Some(1)), "bob", now).unwrap(),
        Outcome::Changed
    );
    let edit = Edit { group: Some(group.clone()), ..Edit::default() };
    coordinator.edit(&"a".parse().unwrap(), &edit, "bob", now).unwrap();
    assert_eq!(
        coordinator.pause(&pause_group(&group, true), "bob", now).unwrap(),
        Outcome::Changed
    );
    assert_eq!(
        coordinator.pause(&pause_group(&group, true), "eve", now).unwrap(),
        Outcome::Unchanged
    );
    let status = coordinator.groups();
    let gpus = status.iter().find(|it| it.name == group).unwrap();
    assert_eq!((gpus.slots, gpus.running, gpus.waiting), (Some(1), 0, 1));
    assert_eq!(gpus.paused_by.as_deref(), Some("bob"));
    assert_eq!(machine.gates_of("a#1"), ["paused", "slots"]);
    let coordinator = &mut machine.coordinator;
    assert_eq!(
        coordinator.pause(&pause_group(&group, false), "bob", now).unwrap(),
        Outcome::Changed
    );
    assert_eq!(coordinator.remove_group(&group, "bob", now).unwrap(), Outcome::Changed);
    assert!(coordinator.remove_group(&group, "bob", now).is_err());
}

#[test]
fn a_pause_stops_admission_and_nothing_that_runs() {
    let mut machine = machine();
    let now = machine.now();
    machine.coordinator.pause(&PauseRequest { group: None, paused: true }, "bob", now).unwrap();
    machine.act("r", &Act::Stop).unwrap();
    machine.settle();
    assert_eq!(machine.up(), [""; 0]);
    assert_eq!(machine.gates_of("a#1"), ["paused"]);
    machine.coordinator.pause(&PauseRequest { group: None, paused: false }, "bob", now).unwrap();
    machine.settle();
    assert_eq!(machine.up(), ["a"]);
}

#[test]
fn a_run_that_is_stopped_while_it_waits_for_its_restart_is_stopped_and_has_not_given_up() {
    let mut machine = Machine::new(1);
    machine.define("a", Script::ends(TimeSpan::from_secs(10), ScriptedEnd::Signal));
    machine.submit(&["a"]);
    machine.pass(11);
    assert_eq!(machine.up(), [""; 0], "the next attempt is due");
    machine.act("a", &Act::Stop).unwrap();
    machine.settle();
    assert_eq!(machine.ended("a#1"), Some(RunState::Ended(RunEnd::Stopped)));
    machine.pass(20);
    assert_eq!(machine.events(EventKind::AttemptBegun).len(), 1);
}

const EXTRAS: &str = "environment.SEED = \"7\"\n";

/// A run that was submitted with extras, has run and waits again, while admission is paused.
fn put_back_with_extras() -> Machine {
    let mut machine = Machine::new(1);
    machine.define("a", Script::runs());
    machine.request(vec![Submit { extras: EXTRAS.to_owned(), ..Submit::new(id("a")) }]).unwrap();
    machine.settle();
    machine.act("a#1", &Act::Requeue).unwrap();
    let now = machine.now();
    machine.coordinator.pause(&PauseRequest { group: None, paused: true }, "bob", now).unwrap();
    machine.settle();
    machine
}

#[test]
fn a_requeued_run_keeps_its_extras_also_when_it_is_started_from_elsewhere() {
    let mut machine = put_back_with_extras();
    assert_eq!(machine.state_of("a#1"), Some(QueueState::Waiting));
    // Another start has replaced the extras, or an end has removed them.
    machine.handover.extras.lock().unwrap().clear();
    let now = machine.now();
    machine.coordinator.pause(&PauseRequest { group: None, paused: false }, "bob", now).unwrap();
    assert!(machine.admit("a").admitted);
    assert_eq!(machine.handover.extras.lock().unwrap()[&id("a")], EXTRAS);
}

#[test]
fn the_extras_of_a_run_that_never_starts_again_are_removed() {
    let mut machine = put_back_with_extras();
    assert_eq!(machine.handover.extras.lock().unwrap()[&id("a")], EXTRAS);
    machine.act("a#1", &Act::Cancel).unwrap();
    assert_eq!(machine.handover.extras.lock().unwrap()[&id("a")], "");
}

#[test]
fn a_group_of_the_settings_has_its_slots_until_the_operator_says_otherwise() {
    let mut machine = Machine::new(4);
    for name in ["a", "b", "c"] {
        machine.define(name, Script::runs());
    }
    let night: GroupName = "night".parse().unwrap();
    let now = machine.now();
    let settings = |machine: &Machine, slots: Option<u32>| {
        let groups = slots.map(|slots| (night.clone(), slots)).into_iter().collect();
        let mut settings = machine.settings.clone();
        settings.groups = groups;
        settings
    };
    let one = settings(&machine, Some(1));
    machine.coordinator.reload(Ok(one), "SIGHUP", now);
    let submit = |name| Submit { group: Some(night.clone()), ..Submit::new(id(name)) };
    machine.request(["a", "b", "c"].map(submit).into()).unwrap();
    machine.settle();
    assert_eq!(machine.up(), ["a"]);
    assert_eq!(machine.gates_of("b#1"), ["group-slots"]);
    let slots_of = |machine: &Machine| {
        let mut groups = machine.coordinator.groups();
        groups.retain(|status| status.name == night);
        groups.pop().map(|status| (status.slots, status.slots_from))
    };
    assert_eq!(slots_of(&machine), Some((Some(1), Some(SlotsFrom::Settings))));
    let alone = machine.coordinator.remove_group(&night, "bob", now).unwrap_err();
    assert!(matches!(alone, RequestError::DeclaredGroup(_)), "{alone}");
    // Paused, it keeps its slots; the operator's number is stronger than any of the file.
    machine.coordinator.pause(&pause_group(&night, true), "bob", now).unwrap();
    assert_eq!(slots_of(&machine), Some((Some(1), Some(SlotsFrom::Settings))));
    machine.coordinator.pause(&pause_group(&night, false), "bob", now).unwrap();
    machine.coordinator.set_group(&setting(&night, Some(2)), "bob", now).unwrap();
    machine.settle();
    assert_eq!(machine.up(), ["a", "b"]);
    let other = settings(&machine, Some(3));
    machine.coordinator.reload(Ok(other), "SIGHUP", now);
    assert_eq!(slots_of(&machine), Some((Some(2), Some(SlotsFrom::Operator))));
    machine.coordinator.remove_group(&night, "bob", now).unwrap();
    machine.settle();
    assert_eq!(machine.up(), ["a", "b", "c"], "that of the file holds again");
    let none = settings(&machine, None);
    machine.coordinator.reload(Ok(none), "SIGHUP", now);
    assert_eq!(slots_of(&machine), Some((None, None)));
}
