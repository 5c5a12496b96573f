//! Submissions to try a queue with, and what is asked of it most.

use bij_core::port::{Change, RunQueue};
use bij_core::queue::{Event, Origin, Place, QueueState, QueuedRun, RunRef, Submission, Terms};
use bij_core::{Outcome, RunEnd, RunId, RunState};

use crate::contract::ledger_fixture::{self as fixture};

pub(super) const READS: &str = "the queue can be read";
pub(super) const WRITES: &str = "the queue can be written";

/// A submission of an experiment by alice, on no special terms.
pub fn submission(name: &str) -> Submission {
    Submission {
        experiment: fixture::experiment(name),
        terms: Terms::default(),
        held: None,
        extras: String::new(),
        by: "alice".to_owned(),
        origin: Origin::Submit,
    }
}

/// A run, written `x#3`.
///
/// # Panics
/// If it is none.
pub fn run(text: &str) -> RunId {
    text.parse().expect("the contract writes runs as they are written")
}

/// A run is let start in a boot.
pub fn let_start(text: &str, boot: u8) -> Change {
    let state = QueueState::Starting { boot: fixture::boot(boot) };
    Change::State { run: run(text), from: None, state, why: "room".to_owned() }
}

/// A run waits again.
pub fn put_back(text: &str) -> Change {
    let (state, why) = (QueueState::Waiting, "heat".to_owned());
    Change::State { run: run(text), from: None, state, why }
}

/// A run is held.
pub fn hold(text: &str) -> Change {
    let state = QueueState::Held { by: "bob".to_owned() };
    Change::State { run: run(text), from: None, state, why: "asked".to_owned() }
}

/// A run is cancelled.
pub fn cancel(text: &str) -> Change {
    Change::End { run: run(text), end: RunEnd::Cancelled, by: "bob".to_owned() }
}

/// A run goes elsewhere.
pub fn move_to(text: &str, place: i64) -> Change {
    Change::Move { run: run(text), place: Place(place), by: Some("bob".to_owned()) }
}

/// Takes one in.
pub(super) fn submit(queue: &mut impl RunQueue, name: &str) -> QueuedRun {
    let taken = queue.submit(&[submission(name)], fixture::at(0)).expect(WRITES);
    taken.into_iter().next().expect("one was submitted")
}

/// Makes one change.
pub(super) fn change(queue: &mut impl RunQueue, change: Change) -> Outcome {
    queue.change(&[change], fixture::at(1)).expect(WRITES)[0]
}

/// Everything in the queue, in starting order.
pub(super) fn in_order(queue: &impl RunQueue) -> Vec<QueuedRun> {
    let mut runs = queue.load().expect(READS).runs;
    runs.sort_by(|a, b| a.order().cmp(&b.order()));
    runs
}

/// The runs in the queue, in starting order.
pub(super) fn line(queue: &impl RunQueue) -> Vec<String> {
    in_order(queue).iter().map(|queued| queued.run.to_string()).collect()
}

/// Where a run stands in the queue.
pub(super) fn state(queue: &impl RunQueue, text: &str) -> Option<QueueState> {
    let runs = queue.load().expect(READS).runs;
    runs.into_iter().find(|queued| queued.run == run(text)).map(|queued| queued.state)
}

/// Where a run, or the newest of an experiment, is.
pub(super) fn run_state(queue: &impl RunQueue, text: &str) -> Option<RunState> {
    let asked: RunRef = text.parse().expect("the contract writes runs as they are written");
    queue.run_state(&asked).expect(READS)
}

/// All events there are.
pub(super) fn events(queue: &impl RunQueue) -> Vec<Event> {
    queue.events(0, usize::MAX).expect(READS)
}
