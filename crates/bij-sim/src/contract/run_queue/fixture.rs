//! Submissions and changes for tests of queues, and short forms of frequent calls.

use bij_core::port::{Change, RunQueue};
use bij_core::queue::{Event, QueuePosition, QueueState, QueuedRun, RunRef, Submission};
use bij_core::{Outcome, RunEnd, RunId, RunState};

use crate::contract::ledger_fixture as fixture;

pub(super) const READS: &str = "the queue can be read";
pub(super) const WRITES: &str = "the queue can be written";

/// Returns a submission of an experiment by alice, with default terms.
pub fn submission(name: &str) -> Submission {
    Submission::new(fixture::experiment(name), "alice")
}

/// Parses a run, written `x#3`.
///
/// # Panics
/// If the text is not a run.
pub fn run(text: &str) -> RunId {
    text.parse().expect("the contract writes runs as they are written")
}

/// Returns the change that admits a run in a boot.
pub fn let_start(text: &str, boot: u8) -> Change {
    let state = QueueState::Starting { boot: fixture::boot(boot) };
    Change::State { run: run(text), from: None, state, why: "room".to_owned() }
}

/// Returns the change that requeues a run.
pub fn put_back(text: &str) -> Change {
    let (state, why) = (QueueState::Waiting, "heat".to_owned());
    Change::State { run: run(text), from: None, state, why }
}

/// Returns the change that holds a run.
pub fn hold(text: &str) -> Change {
    let state = QueueState::Held { by: "bob".to_owned() };
    Change::State { run: run(text), from: None, state, why: "asked".to_owned() }
}

/// Returns the change that cancels a run.
pub fn cancel(text: &str) -> Change {
    Change::End { run: run(text), end: RunEnd::Cancelled, by: "bob".to_owned() }
}

/// Returns the change that moves a run to another position.
pub fn move_to(text: &str, position: i64) -> Change {
    Change::Move { run: run(text), position: QueuePosition(position), by: Some("bob".to_owned()) }
}

/// Submits a run of an experiment.
pub(super) fn submit(queue: &mut impl RunQueue, name: &str) -> QueuedRun {
    let taken = queue.submit(&[submission(name)], fixture::at(0)).expect(WRITES);
    taken.into_iter().next().expect("one was submitted")
}

/// Makes one change.
pub(super) fn change(queue: &mut impl RunQueue, change: Change) -> Outcome {
    queue.change(&[change], fixture::at(1)).expect(WRITES)[0]
}

/// Returns the runs in the queue, in starting order.
pub(super) fn in_order(queue: &impl RunQueue) -> Vec<QueuedRun> {
    let mut runs = queue.load().expect(READS).runs;
    runs.sort_by(|a, b| a.order().cmp(&b.order()));
    runs
}

/// Returns the names of the runs in the queue, in starting order.
pub(super) fn run_names(queue: &impl RunQueue) -> Vec<String> {
    in_order(queue).iter().map(|queued| queued.run.to_string()).collect()
}

/// Returns the state of a run in the queue; `None` if it is not there.
pub(super) fn state(queue: &impl RunQueue, text: &str) -> Option<QueueState> {
    let runs = queue.load().expect(READS).runs;
    runs.into_iter().find(|queued| queued.run == run(text)).map(|queued| queued.state)
}

/// Returns the state of a run, or of an experiment's newest run.
pub(super) fn run_state(queue: &impl RunQueue, text: &str) -> Option<RunState> {
    let asked: RunRef = text.parse().expect("the contract writes runs as they are written");
    queue.run_state(&asked).expect(READS)
}

/// Returns all events.
pub(super) fn events(queue: &impl RunQueue) -> Vec<Event> {
    queue.events(0, usize::MAX).expect(READS)
}
