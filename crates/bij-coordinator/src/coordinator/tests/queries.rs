//! Queries, and settings that are read again.

use bij_core::RunEnd;
use bij_core::port::DefinitionError;
use bij_core::queue::EventKind;
use bij_core::request::{Act, QueueEntry, Why};
use bij_definition::{Settings, SourceFile};
use bij_sim::Script;

use super::machine::*;

fn machine() -> Machine {
    let mut machine = Machine::new(1);
    for name in ["r", "a", "b"] {
        machine.define(name, Script::runs());
    }
    machine.submit(&["r", "a", "b"]);
    machine.settle();
    machine
}

#[test]
fn why_returns_every_gate_and_the_runs_ahead() {
    let mut machine = machine();
    let now = machine.now();
    let why = machine.coordinator.why(&"b".parse().unwrap(), now).unwrap();
    let Why { entry, ahead } = why;
    assert_eq!(&*entry.waiting_on[0].text, "1 of 1 slots are taken");
    assert_eq!(ahead, ["a#1".parse().unwrap()]);
    let why = machine.coordinator.why(&"r#1".parse().unwrap(), now).unwrap();
    let Why { entry, ahead } = why;
    assert!(entry.waiting_on.is_empty() && ahead.is_empty());
    machine.act("a", &Act::Cancel).unwrap();
    let over = machine.coordinator.why(&"a".parse().unwrap(), now).unwrap();
    let ended = QueueEntry::ended("a#1".parse().unwrap(), RunEnd::Cancelled);
    assert_eq!(over, Why { entry: ended, ahead: Vec::new() });
    assert!(machine.coordinator.why(&"nobody".parse().unwrap(), now).is_err());
}

#[test]
fn the_queue_is_listed_in_starting_order_after_the_runs_that_are_up() {
    let mut machine = machine();
    machine.act("b", &Act::Prioritize { priority: 1 }).unwrap();
    let now = machine.now();
    let queue = machine.coordinator.queue(now);
    let listed: Vec<_> =
        queue.iter().map(|it| format!("{} {}", it.id(), it.state.as_str())).collect();
    assert_eq!(listed, ["r#1 running", "b#1 waiting", "a#1 waiting"]);
    let status = machine.coordinator.status();
    assert_eq!((status.running, status.waiting, status.held, status.slots), (1, 2, 0, Some(1)));
}

fn parse(text: &str) -> Result<bij_core::CoordinatorSettings, DefinitionError> {
    let file = SourceFile::new("coordinator.toml", text.as_bytes());
    Settings::parse(file).map(|settings| settings.coordinator)
}

#[test]
fn new_settings_count_at_once_and_bad_ones_leave_the_old_in_force() {
    let mut machine = machine();
    let now = machine.now();
    let bad = parse("[coordinator]\nmax_concurrent = 0\n");
    machine.coordinator.reload(bad.as_ref().cloned(), "SIGHUP", now);
    machine.settle();
    assert_eq!(machine.up(), ["r"]);
    let reloaded = machine.events(EventKind::Reloaded);
    assert!(reloaded[0].data["text"].contains("coordinator.toml:2"), "{reloaded:?}");
    let good = parse("[coordinator]\nmax_concurrent = 3\n");
    machine.coordinator.reload(good.as_ref().cloned(), "SIGHUP", now);
    machine.settle();
    assert_eq!(machine.up(), ["a", "b", "r"]);
}

#[test]
fn events_are_read_from_any_number_on() {
    let machine = machine();
    let all = machine.coordinator.events(0, 1000).unwrap();
    assert_eq!(all[0].kind, EventKind::CoordinatorStarted);
    let later = machine.coordinator.events(all[2].seq, 2).unwrap();
    assert_eq!(later[..], all[3..5]);
}
