//! Stories that a seeded world has found, reduced to what matters.

use bij_core::Bytes;
use bij_core::queue::EventKind;
use bij_sim::{Fault, Script};

use super::machine::*;
use crate::Submit;

#[test]
fn a_store_that_takes_nothing_does_not_wake_it_again_and_again() {
    let mut machine = Machine::new(2);
    machine.define("a", Script::runs());
    machine.submit(&["a"]);
    machine.settle();
    machine.ledger.fail(Some(Fault::Full));
    // The next one cannot even say that it has come, while something is up that is to be looked at.
    machine.kill();
    let now = machine.now();
    at_once(machine.coordinator.tick(now));
    assert!(machine.coordinator.next_look().is_some_and(|due| due > now.uptime));
    machine.ledger.fail(None);
    machine.pass(3);
    assert_eq!(machine.coordinator.status().troubles, [""; 0]);
    assert_eq!(machine.events(EventKind::AttemptBegun).len(), 1);
}

#[test]
fn who_looks_at_the_queue_just_when_a_gate_opens_keeps_nothing_from_starting() {
    let mut machine = Machine::new(2);
    machine.define("a", Script::runs());
    let available = |machine: &Machine, bytes| {
        machine.room.0.lock().unwrap().memory_available = Ok(Bytes::new(bytes));
    };
    available(&machine, 0);
    machine.submit(&["a"]);
    machine.settle();
    assert_eq!(machine.gates_of("a#1"), ["memory-available"]);
    // Changed terms of another run make the last report stale.
    machine.define("b", Script::runs());
    machine.request(vec![Submit { hold: true, ..Submit::new(id("b")) }]).unwrap();
    available(&machine, 60 << 30);
    let now = machine.now();
    machine.coordinator.queue(now);
    machine.pass(10);
    assert_eq!(machine.up(), ["a"]);
}
