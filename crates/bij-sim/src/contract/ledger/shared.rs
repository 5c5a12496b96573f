//! Many hands on one ledger.

use std::thread;

use bij_core::Outcome;
use bij_core::port::{AttemptQuery, Ledger};

use super::fixture::{self, end, fresh, restart};

const READS: &str = "the ledger can be read";
const WRITES: &str = "the ledger can be written";
const HANDS: u32 = 8;
const LIVES: u32 = 5;

/// Judges a ledger that several hold at once; each call of `connect` gives a further hand on the
/// same, at first empty, ledger.
///
/// # Panics
/// Where a clause is not kept.
pub fn shared_ledger_contract<L: Ledger>(connect: impl Fn() -> L + Sync) {
    ends_in_the_same_moment_are_all_kept(&connect);
    the_same_end_told_by_many_counts_once(&connect);
    one_experiment_opened_by_many_has_no_number_twice(&connect);
}

fn ends_in_the_same_moment_are_all_kept<L: Ledger>(connect: &(impl Fn() -> L + Sync)) {
    let lead = |hand: u32| {
        let mut ledger = connect();
        for life in 0..LIVES {
            let opening = fresh(&format!("hand-{hand}"), 1, hand * 100 + life);
            ledger.open(&opening).expect(WRITES);
            // All at the very same time.
            let mut closing = end(&opening, fixture::oom_kill());
            closing.end.at = fixture::at(0);
            assert_eq!(ledger.close(&closing).expect(WRITES), Outcome::Changed);
        }
    };
    thread::scope(|scope| {
        for hand in 1..=HANDS {
            scope.spawn(move || lead(hand));
        }
    });
    let tallies = connect().tallies().expect(READS);
    assert_eq!(tallies.len(), usize::try_from(HANDS).expect("it is small"));
    for tally in tallies.values() {
        assert_eq!((tally.attempts, tally.crashes), (u64::from(LIVES), u64::from(LIVES)));
    }
}

fn the_same_end_told_by_many_counts_once<L: Ledger>(connect: &(impl Fn() -> L + Sync)) {
    let opening = fresh("told", 2, 1);
    connect().open(&opening).expect(WRITES);
    let closing = end(&opening, fixture::segfault());
    let tell = || connect().close(&closing).expect(WRITES) == Outcome::Changed;
    let changed = thread::scope(|scope| {
        let hands: Vec<_> = (0..HANDS).map(|_| scope.spawn(tell)).collect();
        hands.into_iter().filter_map(|hand| hand.join().ok()).filter(|changed| *changed).count()
    });
    assert_eq!(changed, 1);
    assert_eq!(connect().tally(&opening.experiment).expect(READS).crashes, 1);
}

fn one_experiment_opened_by_many_has_no_number_twice<L: Ledger>(connect: &(impl Fn() -> L + Sync)) {
    thread::scope(|scope| {
        for hand in 1..=HANDS {
            scope.spawn(move || connect().open(&restart("one", 3, hand)).expect(WRITES));
        }
    });
    let query = AttemptQuery { experiment: Some(fixture::experiment("one")), ..Default::default() };
    let numbers: Vec<_> =
        connect().attempts(&query).expect(READS).iter().map(|attempt| attempt.number.0).collect();
    assert_eq!(numbers, (1..=HANDS).collect::<Vec<_>>());
}
