//! Those that have more of the GPU's memory than they may.

use bij_core::port::{AttemptQuery, Ledger as _};
use bij_core::queue::EventKind;
use bij_core::{Bytes, Cause, RunEnd, RunState};
use bij_sim::Script;

use super::machine::*;

fn tell(machine: &mut Machine, gib: u64) {
    let used = ["a", "b"].map(|name| (id(name), Bytes::new(gib << 30)));
    let now = machine.now();
    machine.coordinator.gpu_memory(used.into(), now);
    machine.settle();
}

#[test]
fn who_has_too_much_for_too_long_ends_by_that_and_nobody_else_does() {
    let mut machine = Machine::new(2);
    machine.define_with("a", Script::runs(), |spec| spec.gpu.memory = "6G".parse().ok());
    machine.define("b", Script::runs());
    machine.submit(&["a", "b"]);
    machine.settle();
    tell(&mut machine, 7);
    machine.pass(9);
    assert_eq!(machine.up(), ["a", "b"], "it may be only for a moment");
    tell(&mut machine, 5);
    tell(&mut machine, 7);
    machine.pass(9);
    assert_eq!(machine.up(), ["a", "b"], "it counts anew");
    machine.pass(2);
    assert_eq!(machine.up(), ["b"], "its definition sets no bound");
    let query = AttemptQuery { experiment: Some(id("a")), ..AttemptQuery::default() };
    let attempts = machine.ledger.attempts(&query).unwrap();
    let end = attempts[0].end.as_ref().unwrap();
    assert_eq!((attempts.len(), end.cause), (1, Cause::GpuMemory));
    let by = &end.evidence.order.as_ref().unwrap().by;
    assert!(by.starts_with("the coordinator: a has 7.0G of the GPU's memory"), "{by}");
    assert_eq!(machine.ended("a#1"), Some(RunState::Ended(RunEnd::Stopped)));
    assert_eq!(machine.events(EventKind::Health).len(), 1);
}
