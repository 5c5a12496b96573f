//! Histories restored from a ledger, and the effect of ends on the queue.

use super::*;
use crate::queue::{Origin, Terms};
use crate::{BootId, Cause, Evidence, Exit, InvocationId, Progress, StartKind};

fn key(number: u8) -> AttemptKey {
    AttemptKey {
        boot: BootId::from_bytes([1; 16]),
        invocation: InvocationId::from_bytes([number; 16]),
    }
}

fn opening(number: u8, start: StartKind) -> Opening {
    let at = Timestamp::from_micros(i64::from(number));
    Opening { experiment: "x".parse().unwrap(), key: key(number), at, uptime: None, start }
}

fn closing(number: u8, code: i32) -> Closing {
    let progress = Progress { checkpoint: Some(number.to_string()), ..Progress::default() };
    let evidence =
        Evidence { exit: Some(Exit::Code(code)), progress: Some(progress), ..Evidence::default() };
    let at = Timestamp::from_micros(i64::from(number) + 1);
    Closing {
        experiment: "x".parse().unwrap(),
        key: key(number),
        ready: None,
        end: AttemptEnd { at, cause: evidence.prove(), evidence },
        started: at,
    }
}

/// Returns a history of three crashes, the third after a fresh start, and an open attempt.
fn history_of_crashes() -> History {
    let mut history = History::default();
    for (number, start) in [(1, StartKind::Fresh), (2, StartKind::Restart), (3, StartKind::Fresh)] {
        history.open(&opening(number, start), QueuePosition(0));
        history.close(&closing(number, 1), QueuePosition(0));
    }
    history.open(&opening(4, StartKind::Restart), QueuePosition(0));
    history
}

/// Restores the same history from its tally and all but the first `missing` attempts.
fn resume(history: &History, missing: usize) -> History {
    let runs =
        Runs { queued: history.queued().cloned().collect(), ended: history.run_ends().clone() };
    History::resume(&history.tally(), history.attempts()[missing..].to_vec(), runs)
}

fn submission(held: bool) -> Submission {
    Submission {
        experiment: "x".parse().unwrap(),
        terms: Terms::default(),
        held: held.then(|| "alice".to_owned()),
        extras: String::new(),
        by: "alice".to_owned(),
        origin: Origin::Submit,
    }
}

#[test]
fn a_history_that_is_resumed_is_the_same() {
    let history = history_of_crashes();
    let resumed = resume(&history, 0);
    assert_eq!(resumed, history);
}

#[test]
fn a_history_resumed_from_its_newest_attempts_counts_the_others_too() {
    let history = history_of_crashes();
    for missing in 1..history.attempts().len() {
        let mut resumed = resume(&history, missing);
        assert_eq!(resumed.tally(), history.tally(), "{missing} are not at hand");
        let mut whole = history.clone();
        for history in [&mut resumed, &mut whole] {
            history.close(&closing(4, 0), QueuePosition(0));
        }
        let next = opening(5, StartKind::Fresh);
        assert_eq!(resumed.open(&next, QueuePosition(0)), whole.open(&next, QueuePosition(0)));
    }
}

#[test]
fn an_end_without_an_opening_is_a_restart_unless_the_evidence_shows_otherwise() {
    let mut unknown = closing(1, 1);
    assert_eq!(unknown.start_kind(), StartKind::Restart);
    for (restarts, start) in [(0, StartKind::Fresh), (1, StartKind::Restart)] {
        unknown.end.evidence.restarts = Some(restarts);
        assert_eq!(unknown.start_kind(), start);
    }
    assert_eq!(unknown.end.cause, Cause::Exit);
}

#[test]
fn a_start_takes_the_first_run_that_is_not_held_and_gives_it_its_next_attempt() {
    let mut history = history_of_crashes();
    history.close(&closing(4, 0), QueuePosition(0));
    let at = Timestamp::from_micros(9);
    for (held, position) in [(true, 1), (false, 3), (false, 2)] {
        history.submit(&submission(held), QueuePosition(position), at);
    }
    let opened = history.open(&opening(5, StartKind::Fresh), QueuePosition(9));
    assert_eq!(
        (opened.run.number.0, opened.attempt.0),
        (5, 1),
        "the position counts, not the number"
    );
    // The run is requeued behind the other one, and stopped.
    let queued = history.queued_mut(RunNumber(5)).unwrap();
    (queued.state, queued.position) = (QueueState::Waiting, QueuePosition(4));
    let mut stopped = closing(5, 0);
    stopped.end.cause = Cause::Stopped;
    history.close(&stopped, QueuePosition(9));
    assert_eq!(history.run_state(RunNumber(5)), Some(RunState::Open));
    let mut numbers = Vec::new();
    for number in [6, 7, 8] {
        let opened = history.open(&opening(number, StartKind::Fresh), QueuePosition(9));
        numbers.push((opened.run.number.0, opened.attempt.0));
        history.close(&closing(number, 0), QueuePosition(9));
    }
    assert_eq!(numbers, [(4, 1), (5, 2), (6, 1)], "a held run does not start");
}
