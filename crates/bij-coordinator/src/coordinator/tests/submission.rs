//! Submissions, and the reasons why they are refused.

use bij_core::RunId;
use bij_core::queue::{Dependencies, EventKind};
use bij_core::request::{Act, Submit, SubmitOptions};
use bij_sim::{LedgerFault, Script};

use super::machine::*;
use crate::{MAX_AT_ONCE, RequestError, SubmitRequest};

fn machine() -> Machine {
    let machine = Machine::new(1);
    for name in ["a", "b", "c"] {
        machine.define(name, Script::runs());
    }
    machine.define_with("huge", Script::runs(), |spec| spec.limits.memory = "41G".parse().ok());
    machine
}

fn after(name: &str, on: &str) -> Submit {
    let after = Some(Dependencies::All(vec![on.parse().unwrap()]));
    Submit { after, ..Submit::new(id(name)) }
}

fn refused(machine: &mut Machine, runs: Vec<Submit>) -> String {
    let events = machine.event_count();
    let error = machine.request(runs).unwrap_err();
    assert_eq!(machine.event_count(), events, "nothing is taken in");
    error.to_string()
}

#[test]
fn what_could_never_start_is_refused_with_the_numbers() {
    let mut machine = machine();
    let runs = vec![Submit::new(id("a")), Submit::new(id("huge"))];
    let said = refused(&mut machine, runs);
    assert_eq!(
        said,
        "huge could never start: claims 41.0G of memory, more than the budget of 40.0G"
    );
    // The claim may come with the run.
    let mut large = Submit::new(id("a"));
    large.extras = "[limits]\nmemory = '50G'\n".to_owned();
    assert!(refused(&mut machine, vec![large]).contains("claims 50.0G"));
}

#[test]
fn bad_requests_are_refused_with_words() {
    let mut machine = machine();
    assert_eq!(refused(&mut machine, Vec::new()), "no run is named");
    let missing = vec![Submit::new(id("nobody"))];
    assert_eq!(refused(&mut machine, missing), "nobody cannot be run");
    let many = vec![Submit::new(id("a")); MAX_AT_ONCE + 1];
    assert!(refused(&mut machine, many).contains("are more than the 20000"));
    let group = Submit { group: "gpus".parse().ok(), ..Submit::new(id("a")) };
    let said = refused(&mut machine, vec![group]);
    assert_eq!(said, "there is no group gpus; the groups are default");
    let extras = Submit { extras: "limits = 3".to_owned(), ..Submit::new(id("a")) };
    assert_eq!(refused(&mut machine, vec![extras]), "the extras of a have an error");
    let nothing = refused(&mut machine, vec![after("a", "nobody")]);
    assert!(nothing.starts_with("a cannot wait for nobody"), "{nothing}");
    let circle = vec![after("a", "b"), after("b", "a")];
    assert!(refused(&mut machine, circle).contains("wait for each other for ever"));
}

#[test]
fn submissions_that_come_together_are_judged_each_for_itself() {
    let mut machine = machine();
    let request = |runs: Vec<Submit>| SubmitRequest {
        runs,
        by: "x".to_owned(),
        options: SubmitOptions::default(),
    };
    let now = machine.now();
    let mut answers = machine.coordinator.submit_together(
        vec![
            request(vec![Submit::new(id("a")), Submit::new(id("a"))]),
            request(vec![Submit::new(id("b")), Submit::new(id("huge"))]),
            request(vec![after("b", "a")]),
            request(vec![after("a", "b")]),
            request(vec![Submit::new(id("c"))]),
        ],
        now,
    );
    let c = answers.pop().unwrap().unwrap();
    assert_eq!(c[0].id(), "c#1".parse::<RunId>().unwrap());
    let oks: Vec<bool> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(oks, [true, false, true, false]);
    assert_eq!(machine.stored(), ["a#1 waiting", "a#2 waiting", "b#1 waiting", "c#1 waiting"]);
}

#[test]
fn a_failing_store_acknowledges_no_submission() {
    let mut machine = machine();
    machine.ledger.fail(Some(LedgerFault::Busy));
    let error = machine.request(vec![Submit::new(id("a"))]).unwrap_err();
    assert!(matches!(error, RequestError::Store(_)));
    machine.ledger.fail(None);
    machine.pass(3);
    assert_eq!(machine.stored(), [""; 0]);
}

#[test]
fn a_dry_run_says_what_would_keep_it_and_takes_nothing_in() {
    let mut machine = machine();
    machine.submit(&["a"]);
    machine.settle();
    let events = machine.event_count();
    let runs = vec![Submit::new(id("b")), Submit::new(id("b"))];
    let request =
        SubmitRequest { runs, by: "x".to_owned(), options: SubmitOptions { dry_run: true } };
    let now = machine.now();
    let listed = machine.coordinator.submit_together(vec![request], now).pop().unwrap().unwrap();
    let gates: Vec<_> =
        listed.iter().map(|it| (it.id().to_string(), &*it.waiting_on[0].gate)).collect();
    assert_eq!(gates, [("b#1".to_owned(), "slots"), ("b#2".to_owned(), "slots")]);
    assert_eq!(machine.event_count(), events);
}

#[test]
fn a_run_that_is_submitted_held_waits_to_be_released() {
    let mut machine = machine();
    machine.request(vec![Submit { hold: true, ..Submit::new(id("a")) }]).unwrap();
    machine.settle();
    assert_eq!(machine.gates_of("a#1"), ["hold"]);
    machine.act("a#1", &Act::Release).unwrap();
    machine.settle();
    assert_eq!(machine.up(), ["a"]);
}

#[test]
fn while_nothing_can_start_a_submission_needs_no_decision_and_says_why_when_asked() {
    let mut machine = machine();
    machine.submit(&["a"]);
    machine.settle();
    machine.submit(&["b"]);
    let report = machine.coordinator.next_tick_due();
    assert_ne!(report, Some(machine.now().uptime), "nothing is due");
    assert_eq!(machine.gates_of("b#1"), ["slots"]);
    machine.request(vec![Submit { now: true, ..Submit::new(id("c")) }]).unwrap();
    machine.settle();
    assert_eq!(machine.up(), ["a", "c"], "one that passes the gates is not kept");
    assert_eq!(machine.events(EventKind::Admitted).len(), 2);
}
