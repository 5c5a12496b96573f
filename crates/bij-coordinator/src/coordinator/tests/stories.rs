//! Stories that a seeded world has found, reduced to what matters.

use bij_core::port::{RunQueue as _, UnitManager as _};
use bij_core::queue::EventKind;
use bij_core::request::{Act, Submit};
use bij_core::{Bytes, TimeSpan};
use bij_sim::{LedgerFault, Script, ScriptedAttempt, ScriptedEnd, UnitFault};

use super::machine::*;

#[test]
fn a_store_that_takes_nothing_does_not_wake_it_again_and_again() {
    let mut machine = Machine::new(2);
    machine.define("a", Script::runs());
    machine.submit(&["a"]);
    machine.settle();
    machine.ledger.fail(Some(LedgerFault::Full));
    // The next one cannot even say that it has come, while something is up that is to be looked at.
    machine.kill();
    let now = machine.now();
    at_once(machine.coordinator.tick(now));
    assert!(machine.coordinator.next_tick_due().is_some_and(|due| due > now.uptime));
    machine.ledger.fail(None);
    machine.pass(3);
    assert_eq!(machine.coordinator.status().troubles, [""; 0]);
    assert_eq!(machine.events(EventKind::AttemptBegun).len(), 1);
}

#[test]
fn listing_the_queue_just_when_a_gate_opens_prevents_no_start() {
    let mut machine = Machine::new(2);
    machine.define("a", Script::runs());
    let available = |machine: &Machine, bytes| {
        machine.board.0.lock().unwrap().memory_available = Ok(Bytes::new(bytes));
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

#[test]
fn a_stop_that_did_not_come_through_does_not_hit_the_run_after() {
    let mut machine = Machine::new(2);
    let short = ScriptedAttempt { lasts: Some(TimeSpan::from_secs(2)), end: ScriptedEnd::Exit(0) };
    let endless = ScriptedAttempt { lasts: None, end: ScriptedEnd::Exit(0) };
    machine.define("a", Script { attempts: vec![short, endless], ..Script::default() });
    machine.submit(&["a"]);
    machine.settle();
    machine.act("a#1", &Act::Stop).unwrap();
    let now = machine.now();
    at_once(machine.coordinator.tick(now));
    machine.units.set_fault(Some(UnitFault::Denied));
    machine.settle();
    machine.units.set_fault(None);
    // It leaves by itself, and is started anew, before the stop is tried again.
    machine.units.advance(TimeSpan::from_secs(2));
    machine.hooks();
    assert!(machine.start_from_elsewhere("a").admitted);
    machine.pass(30);
    assert_eq!(machine.stored(), ["a#2 running"]);
}

#[test]
fn a_unit_that_is_still_up_when_its_run_is_cancelled_keeps_its_slot_until_it_is_down() {
    let mut machine = Machine::new(1);
    machine.define("a", Script::runs());
    machine.define("b", Script::runs());
    machine.submit(&["a"]);
    machine.settle();
    machine.act("a#1", &Act::Cancel).unwrap();
    assert!(!machine.admit("b").admitted, "the stop of a has not even been asked for");
    machine.settle();
    assert_eq!(machine.up(), ["b"]);
}

#[test]
fn a_claim_that_could_not_be_written_counts_and_is_written_later() {
    let mut machine = Machine::new(2);
    machine.define_with("a", Script::runs(), |spec| spec.limits.memory = "1G".parse().ok());
    at_once(machine.units.start(&id("a"))).unwrap();
    machine.hooks();
    machine.ledger.fail(Some(LedgerFault::Full));
    let now = machine.now();
    at_once(machine.coordinator.tick(now));
    assert_eq!(machine.coordinator.status().memory_claimed, Bytes::new(1 << 30));
    machine.ledger.fail(None);
    machine.pass(5);
    let row = machine.ledger.load().unwrap().runs.remove(0);
    assert_eq!(row.terms.claim.memory, Some(Bytes::new(1 << 30)), "{}", row.run);
}
