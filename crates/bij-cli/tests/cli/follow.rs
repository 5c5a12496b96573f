//! Verbs that keep running while coordinators stop and start.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Child;

use bij_core::RunEnd;
use bij_core::port::{Change, RunQueue as _};
use bij_core::queue::EventKind;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::absent::{leave, store};
use super::bij::{Bij, CallResult, wait_until};
use super::model::Coordinator;

/// Returns the numbers of the next events that a child prints as JSON.
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

fn finished(mut child: Child) -> CallResult {
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    CallResult { err, ..CallResult::from(child.wait_with_output().unwrap()) }
}

#[test]
fn events_are_listed_from_any_number_on() {
    let bij = Bij::new();
    let coordinator = Coordinator::start(&bij);
    assert_eq!(bij.call(&["events"]).err, "No events.\n");
    for _ in 0..2500 {
        coordinator.model.announce(EventKind::Health, Some("x#1"));
    }
    let numbers = |words: &[&str]| -> Vec<u64> {
        let result = bij.call(&[&["--json", "events"], words].concat());
        assert_eq!(result.code, 0, "{result:?}");
        next(&mut result.out.as_bytes(), usize::MAX)
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
fn removed_events_cause_a_warning() {
    let bij = Bij::new();
    let coordinator = Coordinator::start(&bij);
    for _ in 0..9 {
        coordinator.model.announce(EventKind::Health, None);
    }
    coordinator.model.state().events.drain(..5);
    let result = bij.call(&["--json", "events", "--since", "2"]);
    assert_eq!(next(&mut result.out.as_bytes(), usize::MAX), [6, 7, 8, 9]);
    assert_eq!(result.err, "warning: 3 events after 2 are no longer kept\n");
}

#[test]
fn following_misses_no_event_while_the_coordinator_is_away() {
    let bij = Bij::new();
    let coordinator = Coordinator::start(&bij);
    coordinator.model.announce(EventKind::Submitted, Some("x#1"));
    let mut child = bij.spawn(&["--json", "events", "--follow", "--since", "0"]);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    assert_eq!(next(&mut out, 1), [1]);
    coordinator.model.announce(EventKind::Admitted, Some("x#1"));
    assert_eq!(next(&mut out, 1), [2]);
    let model = coordinator.kill();
    // No client is connected when these events happen.
    model.announce(EventKind::AttemptBegun, Some("x#1"));
    model.announce(EventKind::AttemptEnded, Some("x#1"));
    let coordinator = Coordinator::start_with(&bij, model);
    assert_eq!(next(&mut out, 2), [3, 4]);
    coordinator.model.announce(EventKind::RunEnded, Some("x#1"));
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
    let result = finished(child);
    assert_eq!(result.code, 78, "{result:?}");
    assert!(result.err.contains("x#1: ended: never, exit code 78\n"), "{result:?}");
    assert!(result.err.contains("y#1: ended: success\n"), "{result:?}");
    // A run that is already over is not waited for.
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
    wait_until("it waits", || coordinator.model.state().queue_calls == 1);
    for (at, name) in names.iter().enumerate() {
        let code = if at == 150 { "3" } else { "0" };
        let how: &[(&str, &str)] = &[("cause", "success"), ("code", code)];
        coordinator.model.announce_with(EventKind::AttemptEnded, Some(name), how);
        coordinator.model.end(name, RunEnd::Success);
    }
    let result = finished(child);
    assert_eq!(result.code, 3, "{result:?}");
    assert_eq!(result.err.lines().count(), 200, "{result:?}");
    assert!(result.err.contains("x#151: ended: success, exit code 3\n"), "{result:?}");
    let state = coordinator.model.state();
    assert_eq!((state.queue_calls, state.why_calls, state.attempts_calls), (1, 0, 0));
    assert!(state.events_calls <= 401, "{} questions about 400 events", state.events_calls);
}

#[test]
fn waiting_goes_on_where_events_are_no_longer_kept() {
    let bij = Bij::new();
    let coordinator = Coordinator::start(&bij);
    coordinator.model.put(&["x", "y"]);
    let child = bij.spawn(&["wait", "x#1", "y#1"]);
    wait_until("it waits", || coordinator.model.state().queue_calls == 1);
    coordinator.model.lose("x#1", RunEnd::Success);
    coordinator.model.end("y#1", RunEnd::Success);
    let result = finished(child);
    assert_eq!((result.code, result.err.lines().count()), (0, 2), "{result:?}");
    let state = coordinator.model.state();
    assert_eq!((state.queue_calls, state.why_calls), (2, 2));
}

#[test]
fn a_cancelled_run_never_ends_with_0_and_any_waits_for_one() {
    let bij = Bij::new();
    let coordinator = Coordinator::start(&bij);
    coordinator.model.put(&["x", "y"]);
    let child = bij.spawn(&["wait", "--any", "x", "y"]);
    coordinator.model.end("y#1", RunEnd::Cancelled);
    let result = finished(child);
    assert_eq!((result.code, result.err.as_str()), (1, "y#1: ended: cancelled, exit code 1\n"));
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
    // Each run is requested once for its number, then the queue is listed.
    wait_until("it waits", || coordinator.model.state().queue_calls == 1);
    assert_eq!(coordinator.model.state().why_calls, 2);
    let model = coordinator.kill();
    let then = "2026-11-23T22:01:00Z".parse().unwrap();
    let end = |run| Change::End { run, end: RunEnd::Success, by: "the end hook".to_owned() };
    // A coordinator that is back is asked again. The store is read meanwhile, and has the end only later.
    model.end("x#1", RunEnd::Success);
    let before = model.state().queue_calls;
    let coordinator = Coordinator::start_with(&bij, model);
    wait_until("it asks again", || coordinator.model.state().why_calls > 2);
    assert!(coordinator.model.state().queue_calls > before, "the queue was listed again");
    coordinator.kill();
    store.change(&[end(x), end(y)], then).unwrap();
    let result = finished(child);
    assert_eq!(result.code, 0, "{result:?}");
    assert!(result.err.contains("warning: the coordinator has stopped"), "{result:?}");
    assert!(result.err.contains("x#1: ended: success\n"), "{result:?}");
    assert!(result.err.ends_with("y#1: ended: success\n"), "{result:?}");
}

#[test]
fn a_coordinator_that_stops_during_a_call_is_reported() {
    let bij = Bij::new();
    bij.define("x.toml", "command = [\"true\"]\n");
    let coordinator = Coordinator::start(&bij);
    coordinator.model.state().hangs = true;
    let child = bij.spawn(&["submit", "x"]);
    wait_until("it is asked", || coordinator.model.state().requests == ["nothing is answered"]);
    coordinator.kill();
    let result = finished(child);
    assert_eq!((result.code, result.out.as_str()), (104, ""), "{result:?}");
    assert!(result.err.starts_with("error: the coordinator"), "{result:?}");
}

#[test]
fn a_coordinator_that_was_killed_is_waited_for() {
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
    assert_eq!(coordinator.model.state().requests, ["hold: x"]);
}
