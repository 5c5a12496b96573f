//! Stories that a seeded world has found, reduced to what matters.

use bij_core::queue::EventKind;
use bij_sim::{Fault, Script};

use super::machine::*;

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
