//! Clauses for many clients of one queue.

use std::collections::BTreeSet;
use std::thread;

use bij_core::port::{Ledger, RunQueue};
use bij_core::queue::EventKind;

use super::fixture::{READS, WRITES, events, run_names, submission, submit};
use crate::contract::ledger_fixture::{at, end, fresh, success};

const CLIENTS: u32 = 4;
const ROUNDS: u32 = 5;

/// Judges a queue with several clients. Each call of `connect` returns another client of the same
/// queue, which is empty at first.
///
/// # Panics
/// If a clause is violated.
pub fn shared_run_queue_contract<Q: RunQueue + Ledger>(connect: impl Fn() -> Q + Sync) {
    let client = |client: u32| {
        let mut queue = connect();
        let mut taken = Vec::new();
        for round in 0..ROUNDS {
            let both = [submission("x"), submission(&format!("client-{client}"))];
            taken.extend(queue.submit(&both, at(0)).expect(WRITES));
            // Meanwhile units are started and end.
            let opening = fresh(&format!("unit-{client}"), 1, client * 100 + round);
            queue.open(&opening).expect(WRITES);
            queue.close(&end(&opening, success())).expect(WRITES);
        }
        taken
    };
    let client = &client;
    let taken: Vec<_> = thread::scope(|scope| {
        let clients: Vec<_> =
            (1..=CLIENTS).map(|number| scope.spawn(move || client(number))).collect();
        clients
            .into_iter()
            .flat_map(|client| client.join().expect("the client does not panic"))
            .collect()
    });
    let mut queue = connect();
    let runs: BTreeSet<_> = taken.iter().map(|queued| queued.run.to_string()).collect();
    let places: BTreeSet<_> = taken.iter().map(|queued| queued.place).collect();
    assert_eq!((runs.len(), places.len()), (taken.len(), taken.len()), "none is given twice");
    assert_eq!(run_names(&queue).into_iter().collect::<BTreeSet<_>>(), runs);
    assert_eq!(submit(&mut queue, "x").run.number.0, CLIENTS * ROUNDS + 1);
    let recorded = events(&queue);
    assert!(recorded.iter().map(|event| event.seq).eq(1..=u64::from(CLIENTS * ROUNDS * 5 + 1)));
    let of_a_kind = |kind| recorded.iter().filter(|event| event.kind == kind).count();
    assert_eq!(of_a_kind(EventKind::Submitted), taken.len() + 1, "{READS}");
}
