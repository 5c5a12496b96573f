//! Clauses: counters cover all attempts of an experiment and never decrease.

use std::collections::BTreeMap;

use bij_core::port::{AttemptQuery, Ledger};
use bij_core::{Cause, TimeSpan, Timestamp};

use super::fixture::{self, end, fresh, restart};

const READS: &str = "the ledger can be read";
const WRITES: &str = "the ledger can be written";

pub(super) fn crashes_are_counted_by_cause_over_all_runs(ledger: &mut impl Ledger) {
    let id = fixture::experiment("x");
    let mut expected = BTreeMap::<Cause, u64>::new();
    let mut attempts = 0;
    let twice = fixture::ways_to_end().into_iter().chain(fixture::ways_to_end());
    for (number, (cause, evidence)) in (1..).zip(twice) {
        let opening = fresh("x", 1, number);
        let before = ledger.tally(&id).expect(READS);
        ledger.open(&opening).expect(WRITES);
        let closing = end(&opening, evidence);
        ledger.close(&closing).expect(WRITES);
        if closing.end.is_crash() {
            *expected.entry(cause).or_default() += 1;
        }
        attempts += 1;
        let after = ledger.tally(&id).expect(READS);
        assert_eq!(after.attempts, attempts);
        assert_eq!(after.crashes_by_cause, expected, "after {cause}");
        assert_eq!(after.crashes, expected.values().sum::<u64>());
        assert!(after.crashes >= before.crashes);
        assert_eq!(after.last_cause, Some(cause));
    }
}

pub(super) fn the_newest_checkpoint_is_kept(ledger: &mut impl Ledger) {
    let id = fixture::experiment("x");
    let ends = [
        fixture::oom_kill(),
        fixture::with_checkpoint(3, fixture::oom_kill()),
        fixture::with_checkpoint(5, fixture::exit(1)),
        fixture::segfault(),
    ];
    let mut steps = Vec::new();
    for (number, evidence) in (1..).zip(ends) {
        let opening = restart("x", 1, number);
        ledger.open(&opening).expect(WRITES);
        ledger.close(&end(&opening, evidence)).expect(WRITES);
        let saved = ledger.tally(&id).expect(READS).last_checkpoint;
        steps.push(saved.and_then(|progress| progress.step));
    }
    assert_eq!(steps, [None, Some(3), Some(5), Some(5)]);
    // The late end of an older attempt does not replace the data of a newer one.
    let (older, newer) = (restart("x", 1, 8), restart("x", 1, 9));
    ledger.open(&older).expect(WRITES);
    ledger.open(&newer).expect(WRITES);
    let saved = |step| fixture::with_checkpoint(step, fixture::oom_kill());
    ledger.close(&end(&newer, saved(9))).expect(WRITES);
    ledger.close(&end(&older, fixture::with_checkpoint(8, fixture::exit(1)))).expect(WRITES);
    let tally = ledger.tally(&id).expect(READS);
    assert_eq!(tally.last_checkpoint.and_then(|progress| progress.step), Some(9));
    assert_eq!(tally.last_cause, Some(Cause::OomKill));
    assert_eq!(tally.crashes, 6);
}

pub(super) fn a_clock_that_jumps_back_changes_no_order(ledger: &mut impl Ledger) {
    const HOUR: TimeSpan = TimeSpan::from_secs(3600);
    let back = |time: Timestamp| time - HOUR;
    let one = fresh("x", 1, 1);
    ledger.open(&one).expect(WRITES);
    let mut closing = end(&one, fixture::oom_kill());
    closing.end.at = back(closing.end.at);
    ledger.close(&closing).expect(WRITES);
    let mut two = restart("x", 1, 2);
    two.at = back(two.at);
    let opened = ledger.open(&two).expect(WRITES);
    assert_eq!((opened.run.number.0, opened.attempt.0), (1, 2));
    assert_eq!(opened.before.last_cause, Some(Cause::OomKill));
    ledger.close(&end(&two, fixture::success())).expect(WRITES);
    let attempts = ledger.attempts(&AttemptQuery::default()).expect(READS);
    let keys: Vec<_> = attempts.iter().map(|attempt| attempt.key).collect();
    assert_eq!(keys, [one.key, two.key]);
    assert!(attempts[0].end.as_ref().is_some_and(|end| end.at < attempts[0].started));
    let tally = ledger.tally(&one.experiment).expect(READS);
    assert_eq!((tally.attempts, tally.crashes), (2, 1));
    assert_eq!(tally.last.map(|attempt| attempt.key), Some(two.key));
    assert_eq!(tally.last_cause, Some(Cause::Success));
}
