//! Experiments that use more GPU memory than their limit.

use bij_core::port::{AttemptQuery, Ledger as _};
use bij_core::queue::EventKind;
use bij_core::request::Act;
use bij_core::spec::ExperimentSpec;
use bij_core::{Bytes, Cause, Limit, RunEnd, RunState, TimeSpan};
use bij_sim::{Script, ScriptedAttempt, ScriptedEnd};

use super::machine::*;

fn report(machine: &mut Machine, gib: u64) {
    let used = ["a", "b"].map(|name| (id(name), Bytes::new(gib << 30)));
    let now = machine.now();
    machine.coordinator.gpu_memory(Ok(used.into()), now);
    machine.settle();
}

#[test]
fn only_the_experiment_over_its_gpu_memory_limit_for_too_long_is_stopped() {
    let mut machine = Machine::new(2);
    machine.define_with("a", Script::runs(), |spec| spec.gpu.memory = "6G".parse().ok());
    machine.define("b", Script::runs());
    machine.submit(&["a", "b"]);
    machine.settle();
    report(&mut machine, 7);
    machine.pass(9);
    assert_eq!(machine.up(), ["a", "b"], "it may be only for a moment");
    report(&mut machine, 5);
    report(&mut machine, 7);
    machine.pass(9);
    assert_eq!(machine.up(), ["a", "b"], "it counts anew");
    machine.pass(2);
    assert_eq!(machine.up(), ["b"], "its definition sets no bound");
    let query = AttemptQuery { experiment: Some(id("a")), ..AttemptQuery::default() };
    let attempts = machine.ledger.attempts(&query).unwrap();
    let end = attempts[0].end.as_ref().unwrap();
    assert_eq!((attempts.len(), end.cause), (1, Cause::GpuMemory));
    let by = &end.evidence.order.as_ref().unwrap().by;
    assert!(by.starts_with("the coordinator: a uses 7.0G of the GPU's memory"), "{by}");
    assert_eq!(machine.ended("a#1"), Some(RunState::Open), "it is a crash, and no end");
    assert_eq!(machine.events(EventKind::Health).len(), 1);
}

/// A machine with an experiment that uses too much memory from its first moment on, in every attempt.
fn greedy(change: impl FnOnce(&mut ExperimentSpec)) -> Machine {
    let mut machine = Machine::new(2);
    machine.define_with("a", Script::runs(), |spec| {
        spec.gpu.memory = "6G".parse().ok();
        change(spec);
    });
    machine.submit(&["a"]);
    machine.settle();
    report(&mut machine, 7);
    machine
}

/// The causes of its attempts that have ended.
fn causes(machine: &Machine) -> Vec<Cause> {
    let query = AttemptQuery { experiment: Some(id("a")), ..AttemptQuery::default() };
    let attempts = machine.ledger.attempts(&query).unwrap();
    attempts.into_iter().filter_map(|attempt| Some(attempt.end?.cause)).collect()
}

#[test]
fn it_is_brought_back_as_often_as_its_definition_says_and_has_given_up_then() {
    let mut machine = greedy(|_| {});
    machine.pass(10);
    assert_eq!((machine.up().len(), causes(&machine)), (0, vec![Cause::GpuMemory]));
    machine.pass(4);
    assert_eq!(machine.stored(), ["a#1 running"], "its restart is due in five seconds");
    machine.pass(1);
    assert_eq!(machine.up(), ["a"]);
    machine.pass(30);
    assert_eq!(causes(&machine), [Cause::GpuMemory; 3]);
    assert_eq!(machine.ended("a#1"), Some(RunState::Ended(RunEnd::GaveUp)));
    let end = machine.events(EventKind::RunEnded).pop().unwrap();
    assert!(end.data["by"].ends_with("its restarts are used up"), "{:?}", end.data);
}

#[test]
fn starts_that_are_long_ago_do_not_count() {
    let mut machine = greedy(|spec| {
        spec.restart.interval = Limit::At(TimeSpan::from_secs(30));
    });
    machine.pass(100);
    assert!(causes(&machine).len() > 5, "each attempt takes 15 seconds, so there are 2 in 30");
    assert_eq!(machine.ended("a#1"), Some(RunState::Open));
}

#[test]
fn a_clock_that_is_set_makes_no_start_longer_ago_or_younger() {
    const YEAR: i64 = 31_557_600;
    for set in [-YEAR, YEAR] {
        let mut machine = greedy(|spec| {
            spec.restart.burst = 2;
            spec.restart.interval = Limit::At(TimeSpan::from_secs(3600));
        });
        machine.set_clock(set);
        machine.pass(100);
        assert_eq!(machine.ended("a#1"), Some(RunState::Ended(RunEnd::GaveUp)), "set by {set}");
        let mut machine = greedy(|spec| {
            spec.restart.interval = Limit::At(TimeSpan::from_secs(30));
        });
        machine.set_clock(set);
        machine.pass(100);
        assert_eq!(machine.ended("a#1"), Some(RunState::Open), "set by {set}");
    }
}

#[test]
fn a_run_without_restarts_ends_at_once() {
    let mut machine = greedy(|spec| spec.restart.burst = 1);
    machine.pass(10);
    assert_eq!(machine.ended("a#1"), Some(RunState::Ended(RunEnd::GaveUp)));
}

#[test]
fn a_run_whose_coordinator_was_killed_meanwhile_is_requeued_by_the_next_one() {
    let mut machine = greedy(|_| {});
    machine.pass(10);
    assert_eq!(machine.up().len(), 0);
    machine.kill();
    machine.settle();
    machine.pass(5);
    assert_eq!(machine.up(), ["a"]);
    assert_eq!(machine.stored(), ["a#1 running"]);
}

#[test]
fn a_run_that_is_stopped_while_it_waits_for_its_restart_ends() {
    let mut machine = greedy(|_| {});
    machine.pass(12);
    machine.act("a#1", &Act::Stop).unwrap();
    machine.settle();
    assert_eq!(machine.ended("a#1"), Some(RunState::Ended(RunEnd::Stopped)));
    machine.pass(10);
    assert_eq!(machine.up().len(), 0);
}

#[test]
fn the_restart_after_a_crash_is_not_taken_for_an_attempt_over_its_limit() {
    let attempts =
        vec![ScriptedAttempt { lasts: Some(TimeSpan::from_secs(9)), end: ScriptedEnd::OomKill }];
    let mut machine = Machine::new(2);
    machine.define_with("a", Script { attempts, ..Script::default() }, |spec| {
        spec.gpu.memory = "6G".parse().ok();
        spec.restart.delay = TimeSpan::from_secs(20);
    });
    machine.submit(&["a"]);
    machine.settle();
    report(&mut machine, 7);
    machine.pass(28);
    assert_eq!((machine.up().len(), causes(&machine).len()), (0, 1));
    machine.pass(1);
    assert_eq!(machine.up(), ["a"], "systemd brings it back");
}

#[test]
fn an_outdated_reading_of_the_driver_stops_no_experiment() {
    let mut machine = greedy(|_| {});
    machine.pass(5);
    let now = machine.now();
    machine.coordinator.gpu_memory(Err("forbidden".to_owned()), now);
    machine.settle();
    machine.pass(60);
    assert_eq!(machine.up(), ["a"]);
}

#[test]
fn status_reports_gpu_memory_where_it_is_the_machines() {
    let mut machine = greedy(|_| {});
    let status = machine.coordinator.status();
    assert_eq!(status.gpu_memory, None, "it has memory of its own");
    assert_eq!(status.gpu_memory_why, None);
    machine.board.0.lock().unwrap().shared_with_gpu = true;
    machine.kill();
    machine.settle();
    let status = machine.coordinator.status();
    assert_eq!(status.gpu_memory, None);
    assert_eq!(status.gpu_memory_why.as_deref(), Some("it has not been read yet"));
    report(&mut machine, 5);
    let expected = Some([(id("a"), Bytes::new(5 << 30))].into());
    let status = machine.coordinator.status();
    assert_eq!(status.gpu_memory, expected, "b is down");
    assert_eq!(status.gpu_memory_why, None);
}
