//! The time of day is set while runs wait.

use bij_core::queue::{EventKind, NotBefore};
use bij_core::request::Submit;
use bij_core::{TimeSpan, Timestamp};
use bij_sim::Script;

use super::machine::*;

const YEARS: i64 = 31_557_600 * 30;

/// A machine with a run that waits.
fn waiting(submit: Submit) -> Machine {
    let mut machine = Machine::new(1);
    machine.define("a", Script::runs());
    machine.request(vec![submit]).unwrap();
    machine.settle();
    assert_eq!(machine.gates_of("a#1"), ["not-before"]);
    machine
}

fn in_an_hour() -> Submit {
    Submit { delay: Some(TimeSpan::from_secs(3600)), ..Submit::new(id("a")) }
}

fn at_time(at: Timestamp) -> Submit {
    Submit { not_before: Some(at), ..Submit::new(id("a")) }
}

#[test]
fn a_span_is_counted_by_the_clock_of_the_boot() {
    for set in [-YEARS, -60, 0, 60, YEARS] {
        let mut machine = waiting(in_an_hour());
        machine.set_clock(set);
        machine.pass(3599);
        assert_eq!(machine.up().len(), 0, "set by {set}");
        machine.pass(1);
        assert_eq!(machine.up(), ["a"], "set by {set}");
    }
}

#[test]
fn a_time_of_day_goes_by_the_clock_as_it_is_set() {
    let at = {
        let machine = Machine::new(1);
        machine.now().at + TimeSpan::from_secs(3600)
    };
    let mut machine = waiting(at_time(at));
    machine.set_clock(3590);
    machine.pass(70);
    assert_eq!(machine.up(), ["a"]);
    let mut machine = waiting(at_time(at));
    machine.set_clock(-100);
    machine.pass(3650);
    assert_eq!(machine.up().len(), 0);
    machine.pass(60);
    assert_eq!(machine.up(), ["a"]);
}

#[test]
fn what_is_left_of_a_span_after_a_power_cut_is_counted_by_the_new_boot() {
    let mut machine = waiting(in_an_hour());
    machine.pass(600);
    machine.cut_power();
    machine.settle();
    let now = machine.now();
    machine.coordinator.queue(now);
    let runs = &machine.coordinator.state.runs;
    let not_before = runs.values().find_map(|run| run.terms.not_before);
    assert!(matches!(not_before, Some(NotBefore::Delay(delay)) if delay.boot == boot(2)));
    assert_eq!(machine.events(EventKind::Edited).len(), 1, "once for the boot");
    // The network comes up, and with it the right time.
    machine.set_clock(YEARS);
    machine.pass(2990);
    machine.kill();
    machine.settle();
    assert_eq!(machine.up().len(), 0);
    machine.pass(15);
    assert_eq!(machine.up(), ["a"]);
    assert_eq!(machine.events(EventKind::Edited).len(), 1);
}

#[test]
fn a_board_that_forgets_the_time_waits_no_longer_than_the_whole_span() {
    let mut machine = waiting(in_an_hour());
    machine.pass(3000);
    machine.set_clock(-YEARS);
    machine.cut_power();
    machine.settle();
    machine.pass(3599);
    assert_eq!(machine.up().len(), 0, "how long it was down is not known");
    machine.pass(1);
    assert_eq!(machine.up(), ["a"]);
}
