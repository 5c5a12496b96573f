//! Verbs that stay: across coordinators that come and go.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Child;

use bij_core::RunEnd;
use bij_core::port::{Change, RunQueue as _};
use bij_core::queue::EventKind;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::absent::{leave, store};
use super::bij::{Bij, Said, wait_until};
use super::model::Coordinator;

/// The numbers of the next events that a child prints as JSON.
fn next(out: &mut impl std::io::BufRead, count: usize) -> Vec<u64> {
    let lines = out.lines().take(count).map(|line| line.unwrap());
    lines
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(&line).unwrap()["seq"].as_u64().unwrap()
        })
        .collect()
}

fn end(mut child: Child) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGKILL).unwrap();
    child.wait().unwrap();
}

fn finished(mut child: Child) -> Said {
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    Said { err, ..Said::from(child.wait_with_output().unwrap()) }
}

#[test]
fn events_are_told_from_any_number_on() {
    let bij = Bij::new();
    let coordinator = Coordinator::start(&bij);
    assert_eq!(bij.call(&["events"]).err, "No events.\n");
    for _ in 0..2500 {
        coordinator.model.tell(EventKind::Health, Some("x#1"));
    }
    let numbers = |words: &[&str]| -> Vec<u64> {
        let said = bij.call(&[&["--json", "events"], words].concat());
        assert_eq!(said.code, 0, "{said:?}");
        next(&mut said.out.as_bytes(), usize::MAX)
    };
    assert_eq!(numbers(&[]), (1..=2500).collect::<Vec<_>>(), "more than one answer has");
    assert_eq!(numbers(&["--since", "2497"]), [2498, 2499, 2500]);
    assert_eq!(numbers(&["--since", "2500"]), [0; 0]);
    assert_eq!(numbers(&["-n", "2"]), [2499, 2500]);
    assert_eq!(numbers(&["-n", "1", "--since", "2000"]), [2500]);
    let text = bij.call(&["events", "-n", "1"]);
    assert_eq!(text.out, "2026-11-23T22:00:00+00:00 2500 health x#1\n", "{text:?}");
}

#[test]
fn events_that_are_no_longer_kept_are_told() {
    let bij = Bij::new();
    let coordinator = Coordinator::start(&bij);
    for _ in 0..9 {
        coordinator.model.tell(EventKind::Health, None);
    }
    coordinator.model.known().events.drain(..5);
    let said = bij.call(&["--json", "events", "--since", "2"]);
    assert_eq!(next(&mut said.out.as_bytes(), usize::MAX), [6, 7, 8, 9]);
    assert_eq!(said.err, "warning: 3 events after 2 are no longer kept\n");
}

#[test]
fn whoever_follows_misses_nothing_while_the_coordinator_is_away() {
    let bij = Bij::new();
    let coordinator = Coordinator::start(&bij);
    coordinator.model.tell(EventKind::Submitted, Some("x#1"));
    let mut child = bij.spawn(&["--json", "events", "--follow", "--since", "0"]);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    assert_eq!(next(&mut out, 1), [1]);
    coordinator.model.tell(EventKind::Admitted, Some("x#1"));
    assert_eq!(next(&mut out, 1), [2]);
    let model = coordinator.kill();
    // Nobody hears these when they happen.
    model.tell(EventKind::AttemptBegun, Some("x#1"));
    model.tell(EventKind::AttemptEnded, Some("x#1"));
    let coordinator = Coordinator::start_with(&bij, model);
    assert_eq!(next(&mut out, 2), [3, 4]);
    coordinator.model.tell(EventKind::RunEnded, Some("x#1"));
    assert_eq!(next(&mut out, 1), [5]);
    end(child);
}

#[test]
fn waiting_ends_with_the_code_of_the_last_attempt() {
    let bij = Bij::new();
    bij.define("x.toml", "command = [\"sh\", \"-c\", \"exit 78\"]\n");
    assert_eq!(bij.call(&["run", "x"]).code, 78);
    let coordinator = Coordinator::start(&bij);
    coordinator.model.put(&["x", "y"]);
    let child = bij.spawn(&["wait", "y", "x"]);
    coordinator.model.end("x#1", RunEnd::Never);
    coordinator.model.end("y#1", RunEnd::Success);
    let said = finished(child);
    assert_eq!(said.code, 78, "{said:?}");
    assert!(said.err.contains("x#1: ended: never, exit code 78\n"), "{said:?}");
    assert!(said.err.contains("y#1: ended: success\n"), "{said:?}");
    // What is over already is not waited for.
    let json = bij.call(&["--json", "wait", "y#1"]);
    assert_eq!(
        (json.code, json.json()),
        (0, serde_json::json!([{"run": "y#1", "ended": "success", "exit_code": 0}]))
    );
}

#[test]
fn waiting_for_many_lists_them_once_and_asks_about_none() {
    let bij = Bij::new();
    let coordinator = Coordinator::start(&bij);
    coordinator.model.put(&["x"; 200]);
    let names: Vec<String> = (1..=200).map(|number| format!("x#{number}")).collect();
    let words: Vec<&str> =
        std::iter::once("wait").chain(names.iter().map(String::as_str)).collect();
    let child = bij.spawn(&words);
    wait_until("it waits", || coordinator.model.known().listed == 1);
    for (at, name) in names.iter().enumerate() {
        let code = if at == 150 { "3" } else { "0" };
        let how: &[(&str, &str)] = &[("cause", "success"), ("code", code)];
        coordinator.model.tell_with(EventKind::AttemptEnded, Some(name), how);
        coordinator.model.end(name, RunEnd::Success);
    }
    let said = finished(child);
    assert_eq!(said.code, 3, "{said:?}");
    assert_eq!(said.err.lines().count(), 200, "{said:?}");
    assert!(said.err.contains("x#151: ended: success, exit code 3\n"), "{said:?}");
    let known = coordinator.model.known();
    assert_eq!((known.listed, known.looked, known.history_asked), (1, 0, 0));
    assert!(known.events_asked <= 401, "{} questions about 400 events", known.events_asked);
}

#[test]
fn waiting_goes_on_where_events_are_no_longer_kept() {
    let bij = Bij::new();
    let coordinator = Coordinator::start(&bij);
    coordinator.model.put(&["x", "y"]);
    let child = bij.spawn(&["wait", "x#1", "y#1"]);
    wait_until("it waits", || coordinator.model.known().listed == 1);
    coordinator.model.lose("x#1", RunEnd::Success);
    coordinator.model.end("y#1", RunEnd::Success);
    let said = finished(child);
    assert_eq!((said.code, said.err.lines().count()), (0, 2), "{said:?}");
    let known = coordinator.model.known();
    assert_eq!((known.listed, known.looked), (2, 2));
}

#[test]
fn what_was_cancelled_never_ends_well_and_any_is_enough() {
    let bij = Bij::new();
    let coordinator = Coordinator::start(&bij);
    coordinator.model.put(&["x", "y"]);
    let child = bij.spawn(&["wait", "--any", "x", "y"]);
    coordinator.model.end("y#1", RunEnd::Cancelled);
    let said = finished(child);
    assert_eq!((said.code, said.err.as_str()), (1, "y#1: ended: cancelled, exit code 1\n"));
    assert_eq!(bij.call(&["wait", "z"]).code, 102);
    assert_eq!(bij.call(&["wait"]).code, 2);
}

#[test]
fn waiting_outlives_the_coordinator_and_ends_without_one() {
    let bij = Bij::new();
    let mut store = store(&bij);
    let (x, y) = (leave(&mut store, "x", 0, None), leave(&mut store, "y", 0, None));
    let coordinator = Coordinator::start(&bij);
    coordinator.model.put(&["x", "y"]);
    let child = bij.spawn(&["wait", "x", "y"]);
    // Each is looked at for its name, and then the queue is listed.
    wait_until("it waits", || coordinator.model.known().listed == 1);
    assert_eq!(coordinator.model.known().looked, 2);
    let model = coordinator.kill();
    let then = "2026-11-23T22:01:00Z".parse().unwrap();
    let end = |run| Change::End { run, end: RunEnd::Success, by: "the end hook".to_owned() };
    // One that comes back is asked again. What is on disk says the same only then: it is looked at meanwhile.
    model.end("x#1", RunEnd::Success);
    let before = model.known().listed;
    let coordinator = Coordinator::start_with(&bij, model);
    wait_until("it asks again", || coordinator.model.known().looked > 2);
    assert!(coordinator.model.known().listed > before, "the queue was listed again");
    coordinator.kill();
    store.change(&[end(x), end(y)], then).unwrap();
    let said = finished(child);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.err.contains("warning: the coordinator has stopped"), "{said:?}");
    assert!(said.err.contains("x#1: ended: success\n"), "{said:?}");
    assert!(said.err.ends_with("y#1: ended: success\n"), "{said:?}");
}

#[test]
fn a_coordinator_that_goes_in_mid_call_is_told() {
    let bij = Bij::new();
    bij.define("x.toml", "command = [\"true\"]\n");
    let coordinator = Coordinator::start(&bij);
    coordinator.model.known().hangs = true;
    let child = bij.spawn(&["submit", "x"]);
    wait_until("it is asked", || coordinator.model.known().asked == ["nothing is answered"]);
    coordinator.kill();
    let said = finished(child);
    assert_eq!((said.code, said.out.as_str()), (104, ""), "{said:?}");
    assert!(said.err.starts_with("error: the coordinator"), "{said:?}");
}

#[test]
fn one_that_was_killed_is_waited_for() {
    let bij = Bij::new();
    let coordinator = Coordinator::start(&bij);
    coordinator.model.put(&["x"]);
    let model = coordinator.kill();
    let mut child = bij.spawn(&["hold", "x"]);
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    err.read_line(&mut line).unwrap();
    assert_eq!(line, "The coordinator was killed; waiting for its restart.\n");
    let coordinator = Coordinator::start_with(&bij, model);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(coordinator.model.known().asked, ["hold: x"]);
}
