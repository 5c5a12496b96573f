//! Faults of the ports, and restarts of the coordinator: no run is lost.

use bij_core::port::{Ledger, Opening, UnitManager};
use bij_core::queue::{EventKind, GoingDown, QueueState};
use bij_core::request::{Act, PauseRequest, Submit};
use bij_core::spec::RestartSpec;
use bij_core::{
    AttemptKey, InvocationId, Obstacle, RunEnd, RunState, StartKind, SubState, TimeSpan, Timestamp,
};
use bij_sim::{LedgerFault, Script, ScriptedAttempt, ScriptedEnd, UnitFault};

use super::machine::*;
use crate::RequestError;
use crate::policy::MAX_TRIES;

#[test]
fn a_killed_coordinator_finds_everything_again_and_disturbs_nothing() {
    let mut machine = Machine::new(2);
    for name in ["a", "b", "c"] {
        machine.define(name, Script::runs());
    }
    machine.submit(&["a", "b", "c"]);
    machine.kill();
    machine.settle();
    assert_eq!(machine.stored(), ["a#1 running", "b#1 running", "c#1 waiting"]);
    let invocation = at_once(machine.units.status(&id("a"))).unwrap().invocation;
    machine.kill();
    machine.settle();
    assert_eq!(at_once(machine.units.status(&id("a"))).unwrap().invocation, invocation);
    assert_eq!(machine.stored(), ["a#1 running", "b#1 running", "c#1 waiting"]);
}

#[test]
fn a_run_is_let_start_in_the_store_before_its_unit_is_started() {
    let mut machine = Machine::new(1);
    machine.define("a", Script::runs());
    machine.settle();
    machine.submit(&["a"]);
    machine.units.set_fault(Some(UnitFault::Denied));
    let now = machine.now();
    at_once(machine.coordinator.tick(now));
    machine.units.set_fault(None);
    assert_eq!(machine.up(), [""; 0], "no start was requested");
    assert_eq!(machine.state_of("a#1"), Some(QueueState::Starting { boot: boot(1) }));
    // Killed just then, the next one asks for the start again.
    machine.kill();
    machine.settle();
    assert_eq!(machine.up(), ["a"]);
    assert_eq!(machine.events(EventKind::AttemptBegun).len(), 1);
}

#[test]
fn a_unit_is_started_in_the_tick_that_decides_it_and_what_becomes_of_it_is_not_lost() {
    let mut machine = Machine::new(1);
    machine.define("a", Script::runs());
    machine.submit(&["a"]);
    let now = machine.now();
    at_once(machine.coordinator.tick(now));
    assert_eq!(machine.up(), ["a"], "before its result is awaited");
    assert!(machine.coordinator.is_under_way());
    let finished = at_once(machine.coordinator.next_finished());
    machine.coordinator.finish(finished, now);
    assert!(!machine.coordinator.is_under_way());
}

#[test]
fn what_the_store_does_not_take_is_not_done_until_it_does() {
    let mut machine = Machine::new(1);
    machine.define("a", Script::runs());
    machine.submit(&["a"]);
    machine.ledger.fail(Some(LedgerFault::Full));
    machine.pass(10);
    assert_eq!(machine.up(), [""; 0]);
    let refused = machine.request(vec![Submit::new(id("a"))]).unwrap_err();
    assert!(matches!(refused, RequestError::Store(_)), "{refused}");
    assert!(refused.remedy().unwrap().contains("make room"));
    let refused = machine.act("a#1", &Act::Cancel).unwrap_err();
    assert!(matches!(refused, RequestError::Store(_)), "{refused}");
    machine.ledger.fail(None);
    machine.pass(3);
    assert_eq!(machine.up(), ["a"]);
    assert_eq!(machine.coordinator.status().troubles, [""; 0]);
}

#[test]
fn a_store_that_cannot_even_be_read_ends_nothing() {
    let mut machine = Machine::new(1);
    machine.define("a", Script::runs());
    machine.submit(&["a"]);
    machine.settle();
    machine.ledger.fail(Some(LedgerFault::Corrupt));
    machine.coordinator.resync();
    machine.settle();
    assert_eq!(machine.coordinator.status().troubles.len(), 1);
    assert_eq!(machine.up(), ["a"]);
    machine.ledger.fail(None);
    machine.pass(3);
    assert_eq!(machine.stored(), ["a#1 running"]);
}

#[test]
fn a_lost_bus_ends_nothing_and_is_found_again() {
    let mut machine = Machine::new(2);
    machine.define("a", Script::runs());
    machine.define("b", Script::runs());
    machine.submit(&["a"]);
    machine.settle();
    machine.units.set_fault(Some(UnitFault::Unreachable));
    machine.coordinator.resync();
    machine.submit(&["b"]);
    for _ in 0..100 {
        machine.pass(1);
    }
    assert_eq!(machine.coordinator.status().troubles.len(), 1);
    machine.units.set_fault(None);
    machine.pass(3);
    assert_eq!(machine.up(), ["a", "b"]);
    assert_eq!(machine.coordinator.status().troubles, [""; 0]);
}

#[test]
fn a_start_that_fails_transiently_is_retried_and_its_run_never_held() {
    let mut machine = Machine::new(2);
    machine.define("a", Script::runs());
    machine.settle();
    machine.submit(&["a"]);
    let now = machine.now();
    at_once(machine.coordinator.tick(now));
    machine.units.set_fault(Some(UnitFault::Unreachable));
    for _ in 0..1000 {
        machine.pass(1);
    }
    assert!(machine.events(EventKind::ActionFailed).len() < 20, "no hot loop");
    machine.units.set_fault(None);
    machine.pass(200);
    assert_eq!(machine.up(), ["a"]);
}

#[test]
fn a_start_that_is_refused_is_put_off_longer_each_time_and_held_in_the_end() {
    let mut machine = Machine::new(2);
    machine.define("a", Script::runs());
    machine.settle();
    machine.units.set_fault(Some(UnitFault::Denied));
    machine.submit(&["a"]);
    // Looking at units is not refused in this story, only starting them.
    machine.define("a", Script { skipped: true, ..Script::runs() });
    machine.units.set_fault(None);
    machine.pass(7);
    assert_eq!(machine.events(EventKind::ActionFailed).len(), 2);
    assert_eq!(machine.gates_of("a#1"), ["back-off"]);
    machine.pass(200);
    let failed = machine.events(EventKind::ActionFailed).len();
    assert_eq!(failed, usize::try_from(MAX_TRIES).unwrap());
    let QueueState::Held { by } = machine.state_of("a#1").unwrap() else { panic!() };
    assert_eq!(by, "the coordinator");
    machine.define("a", Script::runs());
    machine.act("a#1", &Act::Release).unwrap();
    machine.settle();
    assert_eq!(machine.up(), ["a"]);
}

#[test]
fn a_start_that_fails_for_a_missing_resource_names_it_and_waits_for_no_run() {
    let mut machine = Machine::new(1);
    let attempts = vec![ScriptedAttempt { lasts: None, end: ScriptedEnd::NeverUp }];
    let restart = RestartSpec { delay: TimeSpan::from_secs(60), ..RestartSpec::default() };
    machine.define("a", Script { attempts, restart: restart.clone(), ..Script::default() });
    let path = "/srv/wt".to_owned();
    *machine.definitions.1.lock().unwrap() = vec![Obstacle::NoDirectory { path }];
    machine.submit(&["a"]);
    machine.settle();
    let unit = at_once(machine.units.status(&id("a"))).unwrap();
    assert_eq!(unit.sub_state, SubState::AutoRestart);
    // It waits for no other run. Its unit, which waits for its restart, still takes the slot.
    assert_eq!(machine.gates_of("a#1"), ["back-off", "unit", "slots"]);
    let reason = "the directory /srv/wt is not there: mkdir -p /srv/wt, or change `directory`";
    let text = &machine.listed("a#1").waiting_on[0].text;
    assert!(text.ends_with(reason), "{text}");
    let failed = machine.events(EventKind::ActionFailed);
    assert!(failed[0].data["text"].ends_with(reason), "{failed:?}");
    // The directory is back.
    machine.definitions.1.lock().unwrap().clear();
    machine.define("a", Script { restart, ..Script::runs() });
    machine.pass(6);
    assert_eq!(machine.up(), ["a"]);
}

#[test]
fn a_unit_that_never_comes_up_is_left_to_systemds_restarts() {
    let mut machine = Machine::new(2);
    let never = ScriptedAttempt { lasts: None, end: ScriptedEnd::Exit(1) };
    let attempt = ScriptedAttempt { lasts: Some(TimeSpan::from_secs(1)), ..never };
    machine.define("a", Script { attempts: vec![attempt], ..Script::default() });
    machine.submit(&["a"]);
    machine.pass(120);
    assert_eq!(machine.ended("a#1"), Some(RunState::Ended(RunEnd::GaveUp)));
    assert_eq!(machine.events(EventKind::AttemptBegun).len(), 3, "the burst of its definition");
}

#[test]
fn a_cancel_outlives_the_coordinator_that_was_killed_before_it_could_stop_the_unit() {
    let mut machine = Machine::new(2);
    machine.define("a", Script::runs());
    machine.submit(&["a"]);
    machine.settle();
    machine.act("a#1", &Act::Cancel).unwrap();
    machine.kill();
    assert_eq!(machine.up(), ["a"]);
    machine.settle();
    assert_eq!(machine.up(), [""; 0]);
    assert_eq!(machine.ended("a#1"), Some(RunState::Ended(RunEnd::Cancelled)));
}

#[test]
fn an_unreachable_manager_is_reported_for_each_run_beside_its_other_gates() {
    let mut machine = Machine::new(2);
    machine.define("a", Script::runs());
    machine.define("b", Script::runs());
    machine.settle();
    machine.submit(&["b"]);
    machine.settle();
    machine.act("b#1", &Act::Requeue).unwrap();
    let now = machine.now();
    machine.coordinator.pause(&PauseRequest { group: None, paused: true }, "bob", now).unwrap();
    machine.settle();
    let lost = machine.now().at;
    machine.units.set_fault(Some(UnitFault::Unreachable));
    machine.coordinator.resync();
    machine.settle();
    machine.pass(60);
    machine.submit(&["a"]);
    for run in ["a#1", "b#1"] {
        assert_eq!(machine.gates_of(run), ["manager", "paused"], "{run}");
    }
    let queue = machine.coordinator.queue(machine.now());
    assert!(queue.iter().all(|listed| listed.waiting_on[0].since == lost), "{queue:?}");
    machine.units.set_fault(None);
    machine.pass(3);
    assert_eq!(machine.gates_of("a#1"), ["paused"]);
}

#[test]
fn a_coordinator_that_has_never_reached_the_manager_reports_it() {
    let mut machine = Machine::new(2);
    machine.define("a", Script::runs());
    machine.submit(&["a"]);
    machine.units.set_fault(Some(UnitFault::Unreachable));
    machine.kill();
    machine.settle();
    assert_eq!(machine.gates_of("a#1"), ["manager"]);
    machine.units.set_fault(None);
    machine.pass(3);
    assert_eq!(machine.up(), ["a"]);
}

#[test]
fn an_attempt_that_begins_between_observation_and_execution_is_not_overwritten() {
    let mut machine = Machine::new(2);
    machine.define("a", Script::runs());
    machine.settle();
    machine.submit(&["a"]);
    let mut ledger = machine.ledger.clone();
    let begins = move || {
        let key = AttemptKey { boot: boot(1), invocation: InvocationId::from_bytes([9; 16]) };
        let at = Timestamp::from_micros(1);
        let opening =
            Opening { experiment: id("a"), key, at, uptime: None, start: StartKind::Fresh };
        ledger.open(&opening).unwrap();
    };
    *machine.board.1.lock().unwrap() = Some(Box::new(begins));
    let now = machine.now();
    at_once(machine.coordinator.tick(now));
    assert_eq!(machine.state_of("a#1"), Some(QueueState::Running));
    assert_eq!(machine.events(EventKind::Admitted).len(), 0);
    assert!(!machine.coordinator.is_under_way(), "and it is not started once more");
}

#[test]
fn a_stop_outlives_the_coordinator_that_was_killed_before_it_could_stop_the_unit() {
    let mut machine = Machine::new(2);
    machine.define("a", Script::runs());
    machine.submit(&["a"]);
    machine.settle();
    machine.act("a#1", &Act::Stop).unwrap();
    let again = machine.act("a#1", &Act::Stop).unwrap();
    assert!(again[0].changed, "it is under way");
    for _ in 0..2 {
        machine.kill();
        assert!(!machine.admit("a").admitted, "nothing brings back what is to be stopped");
    }
    assert_eq!(machine.up(), ["a"]);
    machine.settle();
    assert_eq!(machine.up(), [""; 0]);
    assert_eq!(machine.ended("a#1"), Some(RunState::Ended(RunEnd::Stopped)));
    assert_eq!(machine.events(EventKind::StopRequested).len(), 1);
    machine.submit(&["a"]);
    machine.settle();
    assert_eq!(machine.up(), ["a"], "the next run has nothing to do with it");
}

#[test]
fn a_stop_that_a_power_cut_has_forestalled_ends_the_run_all_the_same() {
    let mut machine = Machine::new(2);
    machine.define("a", Script::runs());
    machine.submit(&["a"]);
    machine.settle();
    machine.act("a#1", &Act::Stop).unwrap();
    machine.cut_power();
    machine.settle();
    assert_eq!(machine.up(), [""; 0]);
    assert_eq!(machine.ended("a#1"), Some(RunState::Ended(RunEnd::Stopped)));
}

#[test]
fn requeueing_a_run_revokes_its_requested_stop() {
    let mut machine = Machine::new(2);
    machine.define("a", Script::runs());
    machine.submit(&["a"]);
    machine.settle();
    machine.act("a#1", &Act::Stop).unwrap();
    machine.act("a#1", &Act::Requeue).unwrap();
    machine.kill();
    machine.pass(2);
    assert_eq!(machine.state_of("a#1"), Some(QueueState::Running));
    assert_eq!(machine.events(EventKind::AttemptBegun).len(), 2);
}

#[test]
fn a_machine_that_goes_down_has_nothing_started_and_the_next_boot_finds_all_as_it_was() {
    let mut machine = Machine::new(1);
    machine.define("a", Script::runs());
    machine.define("b", Script::runs());
    machine.submit(&["a", "b"]);
    machine.settle();
    machine.coordinator.set_going_down(GoingDown::Machine, true);
    machine.act("a#1", &Act::Stop).unwrap();
    machine.pass(300);
    assert_eq!(machine.up(), [""; 0]);
    assert_eq!(machine.events(EventKind::Admitted).len(), 1, "that of the first");
    assert_eq!(machine.gates_of("b#1"), ["going-down"]);
    machine.cut_power();
    machine.settle();
    assert_eq!(machine.up(), ["b"]);
}

#[test]
fn a_start_that_a_shutdown_refuses_is_not_counted_as_failed() {
    let mut machine = Machine::new(1);
    machine.define("a", Script::runs());
    machine.settle();
    // The signal of it was lost.
    machine.units.set_fault(Some(UnitFault::GoingDown));
    machine.submit(&["a"]);
    machine.pass(600);
    assert_eq!(machine.stored(), ["a#1 starting"], "it is not held for that");
    machine.cut_power();
    machine.settle();
    assert_eq!(machine.up(), ["a"]);
}

#[test]
fn without_units_the_coordinator_learns_from_the_ledger_what_is_up() {
    let mut machine = Machine::new(1);
    machine.define("a", Script::runs());
    machine.define("b", Script::runs());
    machine.submit(&["a"]);
    machine.settle();
    machine.act("a#1", &Act::Cancel).unwrap();
    machine.units.set_fault(Some(UnitFault::Unreachable));
    machine.kill();
    machine.settle();
    let verdict = machine.admit("b");
    assert!(!verdict.admitted, "the unit of the one that was cancelled is up");
    assert_eq!(verdict.text.as_deref(), Some("1 of 1 slots are taken"));
    machine.units.set_fault(None);
    machine.pass(3);
    assert_eq!(machine.up(), ["b"]);
}

#[test]
fn what_goes_on_by_itself_after_a_power_cut_is_not_put_back_under_its_feet() {
    let mut machine = Machine::new(2);
    machine.define("a", Script::runs());
    machine.submit(&["a"]);
    machine.settle();
    // The next coordinator has read the queue, and has not looked around yet.
    machine.cut_power();
    at_once(machine.units.start(&id("a"))).unwrap();
    machine.settle();
    machine.pass(5);
    assert_eq!(machine.up(), ["a"]);
    assert_eq!(machine.stored(), ["a#1 running"]);
    assert_eq!(machine.events(EventKind::AttemptBegun).len(), 2);
    assert_eq!(machine.events(EventKind::Requeued).len(), 0);
}
