//! Clauses for many clients of one ledger.

use std::thread;

use bij_core::Outcome;
use bij_core::port::{AttemptQuery, Ledger};

use super::fixture::{self, end, fresh, restart};

const READS: &str = "the ledger can be read";
const WRITES: &str = "the ledger can be written";
const CLIENTS: u32 = 8;
const ATTEMPTS: u32 = 5;

/// Judges a ledger with several clients. Each call of `connect` returns another client of the same
/// ledger, which is empty at first.
///
/// # Panics
/// If a clause is violated.
pub fn shared_ledger_contract<L: Ledger>(connect: impl Fn() -> L + Sync) {
    ends_at_the_same_time_are_all_kept(&connect);
    the_same_end_from_many_clients_counts_once(&connect);
    many_clients_of_one_experiment_get_no_number_twice(&connect);
}

fn ends_at_the_same_time_are_all_kept<L: Ledger>(connect: &(impl Fn() -> L + Sync)) {
    let run_client = |client: u32| {
        let mut ledger = connect();
        for attempt in 0..ATTEMPTS {
            let opening = fresh(&format!("client-{client}"), 1, client * 100 + attempt);
            ledger.open(&opening).expect(WRITES);
            // All ends have the same time.
            let mut closing = end(&opening, fixture::oom_kill());
            closing.end.at = fixture::at(0);
            assert_eq!(ledger.close(&closing).expect(WRITES), Outcome::Changed);
        }
    };
    thread::scope(|scope| {
        for client in 1..=CLIENTS {
            scope.spawn(move || run_client(client));
        }
    });
    let tallies = connect().tallies().expect(READS);
    assert_eq!(tallies.len(), usize::try_from(CLIENTS).expect("it is small"));
    for tally in tallies.values() {
        assert_eq!((tally.attempts, tally.crashes), (u64::from(ATTEMPTS), u64::from(ATTEMPTS)));
    }
}

fn the_same_end_from_many_clients_counts_once<L: Ledger>(connect: &(impl Fn() -> L + Sync)) {
    let opening = fresh("shared", 2, 1);
    connect().open(&opening).expect(WRITES);
    let closing = end(&opening, fixture::segfault());
    let close = || connect().close(&closing).expect(WRITES) == Outcome::Changed;
    let changed = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(close)).collect();
        clients
            .into_iter()
            .filter_map(|client| client.join().ok())
            .filter(|changed| *changed)
            .count()
    });
    assert_eq!(changed, 1);
    assert_eq!(connect().tally(&opening.experiment).expect(READS).crashes, 1);
}

fn many_clients_of_one_experiment_get_no_number_twice<L: Ledger>(
    connect: &(impl Fn() -> L + Sync),
) {
    thread::scope(|scope| {
        for client in 1..=CLIENTS {
            scope.spawn(move || connect().open(&restart("one", 3, client)).expect(WRITES));
        }
    });
    let query = AttemptQuery { experiment: Some(fixture::experiment("one")), ..Default::default() };
    let numbers: Vec<_> =
        connect().attempts(&query).expect(READS).iter().map(|attempt| attempt.number.0).collect();
    assert_eq!(numbers, (1..=CLIENTS).collect::<Vec<_>>());
}
