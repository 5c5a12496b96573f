//! Many hands on one queue.

use std::collections::BTreeSet;
use std::thread;

use bij_core::port::{Ledger, RunQueue};
use bij_core::queue::EventKind;

use super::fixture::{READS, WRITES, events, line, submission, submit};
use crate::contract::ledger_fixture::{at, end, fresh, success};

const HANDS: u32 = 4;
const ROUNDS: u32 = 5;

/// Judges a queue that several hold at once; each call of `connect` gives a further hand on the
/// same, at first empty, queue.
///
/// # Panics
/// Where a clause is not kept.
pub fn shared_run_queue_contract<Q: RunQueue + Ledger>(connect: impl Fn() -> Q + Sync) {
    let hand = |hand: u32| {
        let mut queue = connect();
        let mut taken = Vec::new();
        for round in 0..ROUNDS {
            let both = [submission("x"), submission(&format!("hand-{hand}"))];
            taken.extend(queue.submit(&both, at(0)).expect(WRITES));
            // Beside it, units are started and end.
            let opening = fresh(&format!("unit-{hand}"), 1, hand * 100 + round);
            queue.open(&opening).expect(WRITES);
            queue.close(&end(&opening, success())).expect(WRITES);
        }
        taken
    };
    let hand = &hand;
    let taken: Vec<_> = thread::scope(|scope| {
        let hands: Vec<_> = (1..=HANDS).map(|number| scope.spawn(move || hand(number))).collect();
        hands.into_iter().flat_map(|hand| hand.join().expect("it panicked by itself")).collect()
    });
    let mut queue = connect();
    let runs: BTreeSet<_> = taken.iter().map(|queued| queued.run.to_string()).collect();
    let places: BTreeSet<_> = taken.iter().map(|queued| queued.place).collect();
    assert_eq!((runs.len(), places.len()), (taken.len(), taken.len()), "none is given twice");
    assert_eq!(line(&queue).into_iter().collect::<BTreeSet<_>>(), runs);
    assert_eq!(submit(&mut queue, "x").run.number.0, HANDS * ROUNDS + 1);
    let told = events(&queue);
    assert!(told.iter().map(|event| event.seq).eq(1..=u64::from(HANDS * ROUNDS * 5 + 1)));
    let of_a_kind = |kind| told.iter().filter(|event| event.kind == kind).count();
    assert_eq!(of_a_kind(EventKind::Submitted), taken.len() + 1, "{READS}");
}
